#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/platform/mapped_file.h"
#include "ridgeline/tensor/tensor_view.h"

namespace ridgeline {

/// One metadata value of a GGUF file. Integers keep their sign class; arrays are
/// homogeneous. Strings are views into the mapped file.
class GgufValue {
 public:
  using Strings = std::vector<std::string_view>;
  using Storage = std::variant<std::uint64_t, std::int64_t, double, bool, std::string_view,
                               std::vector<std::uint64_t>, std::vector<std::int64_t>,
                               std::vector<double>, std::vector<bool>, Strings>;
  Storage value;
};

/// A GGUF v2 or v3 file (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md),
/// mapped and checked: every count, length, offset and shape against the file's
/// size before it is used. Tensor data stays in the mapping.
class GgufFile {
 public:
  static Result<GgufFile> open(const std::string& path);
  /// Parses bytes that the caller keeps alive (tests, fuzzing). `path` names them in errors.
  static Result<GgufFile> parse(std::span<const std::byte> bytes, const std::string& path);

  const std::string& path() const { return path_; }
  std::uint32_t version() const { return version_; }
  std::size_t file_bytes() const { return bytes_.size(); }

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

  /// In file order. A tensor of an unsupported type makes open() fail, naming both.
  std::span<const TensorView> tensors() const { return tensors_; }
  const TensorView* tensor(std::string_view name) const;  ///< null if absent

  /// Drops a tensor's pages from resident memory (it has been repacked).
  void release(const TensorView& tensor) const;
  void will_read(const TensorView& tensor) const;

 private:
  friend class GgufParser;
  MappedFile file_;
  std::span<const std::byte> bytes_;
  std::string path_;
  std::uint32_t version_ = 0;
  std::map<std::string, GgufValue, std::less<>> metadata_;
  std::vector<TensorView> tensors_;
  std::map<std::string, std::size_t, std::less<>> tensor_index_;
};

}  // namespace ridgeline
