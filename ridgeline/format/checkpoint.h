#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/format/gguf_value.h"
#include "ridgeline/platform/mapped_file.h"
#include "ridgeline/tensor/tensor_view.h"

namespace ridgeline {

/// A model as it was stored: metadata and tensors under GGUF's names, whichever files
/// they come from (open_gguf(), open_hugging_face()).
class Checkpoint {
 public:
  /// What the reader of a file format fills in.
  struct Contents {
    std::string path;                   ///< as errors name it
    std::string format;                 ///< for people: "GGUF v3"
    std::size_t file_bytes = 0;         ///< of all files
    std::vector<MappedFile> files;      ///< that tensors lie in; empty for bytes in memory
    std::shared_ptr<const void> owner;  ///< of texts and tensors that lie in no file
    std::map<std::string, GgufValue, std::less<>> metadata;
    std::vector<TensorView> tensors;  ///< their names differ
  };
  explicit Checkpoint(Contents contents);

  Contents take() && { return std::move(contents_); }

  const std::string& path() const { return contents_.path; }
  const std::string& format() const { return contents_.format; }
  std::size_t file_bytes() const { return contents_.file_bytes; }
  /// Of the mapped files.
  std::vector<FileIdentity> identities() const;

  bool has(std::string_view key) const { return contents_.metadata.contains(key); }
  const std::map<std::string, GgufValue, std::less<>>& metadata() const {
    return contents_.metadata;
  }

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

  /// In the order of the files.
  std::span<const TensorView> tensors() const { return contents_.tensors; }
  const TensorView* tensor(std::string_view name) const;  ///< null if absent

  /// Drops a tensor's pages from resident memory (it has been repacked).
  void release(const TensorView& tensor) const;
  void will_read(const TensorView& tensor) const;

 private:
  const GgufValue* find(std::string_view key) const;
  tl::unexpected<Error> mismatch(std::string_view key, const GgufValue& value,
                                 const char* expected) const;
  /// The mapped file that a tensor lies in, and where; null if in none.
  const MappedFile* file_of(const TensorView& tensor, std::size_t& offset) const;

  Contents contents_;
  std::map<std::string_view, std::size_t> tensor_index_;
};

}  // namespace ridgeline
