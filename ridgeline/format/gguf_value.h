#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

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
/// homogeneous. Strings are views into the
/// checkpoint that holds the value.
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
