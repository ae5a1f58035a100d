#pragma once

#include <bit>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/platform/mapped_file.h"
#include "ridgeline/tensor/tensor_view.h"

namespace ridgeline {

/// GGUF's type ids of metadata values.
enum class GgufType : std::uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

/// One metadata value of a GGUF file. Integers keep their sign class; arrays are
/// homogeneous. Strings are views into the mapped file.
class GgufValue {
 public:
  using Strings = std::vector<std::string_view>;
  using Storage = std::variant<std::uint64_t, std::int64_t, double, bool, std::string_view,
                               std::vector<std::uint64_t>, std::vector<std::int64_t>,
                               std::vector<double>, std::vector<bool>, Strings>;
  Storage value;
  /// As stored in the file; of an array, its elements' type.
  GgufType type = GgufType::kUint64;

  bool is_array() const { return value.index() >= 5; }
  /// For error messages and listings: "the integer 7", "an array of 32000 strings".
  std::string describe() const;

  /// A value of the GGUF type that corresponds to T: a fixed-width integer, float,
  /// double, bool or std::string_view (the text must outlive the value), or a
  /// std::vector of one of them.
  template <class T>
  static GgufValue of(const T& value);
};

/// A GGUF v2 or v3 file (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md),
/// mapped and checked: every count, length, offset and shape against the file's
/// size before it is used. Tensor data stays in the mapping, aligned to 8 bytes or more.
class GgufFile {
 public:
  static Result<GgufFile> open(const std::string& path);
  /// Parses bytes that the caller keeps alive (tests, fuzzing). `path` names them in errors.
  static Result<GgufFile> parse(std::span<const std::byte> bytes, const std::string& path);

  const std::string& path() const { return path_; }
  std::uint32_t version() const { return version_; }
  std::size_t file_bytes() const { return bytes_.size(); }
  /// Of the file that is mapped; of parsed bytes, nothing's.
  const FileIdentity& identity() const { return file_.identity(); }

  bool has(std::string_view key) const { return metadata_.contains(key); }
  const std::map<std::string, GgufValue, std::less<>>& metadata() const { return metadata_; }

  // Typed access: absent is nullopt; a value of another type is an error that names
  // the file, the key, what is there and what was expected. Integers of any width
  // convert when the value fits.
  Result<std::optional<std::int64_t>> integer(std::string_view key) const;
  Result<std::optional<double>> number(std::string_view key) const;  ///< float or integer
  Result<std::optional<bool>> boolean(std::string_view key) const;
  Result<std::optional<std::string_view>> string(std::string_view key) const;
  Result<std::optional<GgufValue::Strings>> strings(std::string_view key) const;
  Result<std::optional<std::vector<std::int64_t>>> integers(std::string_view key) const;
  Result<std::optional<std::vector<double>>> numbers(std::string_view key) const;
  Result<std::optional<std::vector<bool>>> booleans(std::string_view key) const;

  /// In file order. A tensor of an unsupported type makes open() fail, naming both.
  std::span<const TensorView> tensors() const { return tensors_; }
  const TensorView* tensor(std::string_view name) const;  ///< null if absent

  /// Drops a tensor's pages from resident memory (it has been repacked).
  void release(const TensorView& tensor) const;
  void will_read(const TensorView& tensor) const;

 private:
  friend class GgufParser;
  const GgufValue* find(std::string_view key) const;
  tl::unexpected<Error> mismatch(std::string_view key, const GgufValue& value,
                                 const char* expected) const;

  MappedFile file_;
  std::span<const std::byte> bytes_;
  std::string path_;
  std::uint32_t version_ = 0;
  std::map<std::string, GgufValue, std::less<>> metadata_;
  std::vector<TensorView> tensors_;
  std::map<std::string, std::size_t, std::less<>> tensor_index_;
};

namespace gguf_detail {

template <class T>
constexpr GgufType type_of() {
  using enum GgufType;
  if constexpr (std::is_same_v<T, bool>)
    return kBool;
  else if constexpr (std::is_same_v<T, float>)
    return kFloat32;
  else if constexpr (std::is_same_v<T, double>)
    return kFloat64;
  else if constexpr (std::is_convertible_v<T, std::string_view>)
    return kString;
  else {
    static_assert(std::is_integral_v<T>, "GGUF has no such type");
    constexpr GgufType kUnsigned[] = {kUint8, kUint16, kUint32, kUint64};
    constexpr GgufType kSigned[] = {kInt8, kInt16, kInt32, kInt64};
    constexpr int kLog2Bytes = std::countr_zero(sizeof(T));
    return std::is_unsigned_v<T> ? kUnsigned[kLog2Bytes] : kSigned[kLog2Bytes];
  }
}

/// The alternative of GgufValue::Storage that holds a T.
template <class T>
using Wide = std::conditional_t<
    std::is_same_v<T, bool>, bool,
    std::conditional_t<
        std::is_floating_point_v<T>, double,
        std::conditional_t<std::is_integral_v<T>,
                           std::conditional_t<std::is_unsigned_v<T>, std::uint64_t, std::int64_t>,
                           std::string_view>>>;

template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};

}  // namespace gguf_detail

template <class T>
GgufValue GgufValue::of(const T& value) {
  GgufValue out;
  if constexpr (gguf_detail::IsVector<T>::value) {
    using Element = typename T::value_type;
    out.type = gguf_detail::type_of<Element>();
    out.value = std::vector<gguf_detail::Wide<Element>>(value.begin(), value.end());
  } else {
    out.type = gguf_detail::type_of<T>();
    out.value = gguf_detail::Wide<T>(value);
  }
  return out;
}

}  // namespace ridgeline
