#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "ridgeline/base/result.h"

namespace ridgeline {

/// A whole file, read-only, mapped. Reading past the end is the caller's bug: the
/// size is fixed at open().
class MappedFile {
 public:
  MappedFile() = default;
  ~MappedFile();
  MappedFile(MappedFile&&) noexcept;
  MappedFile& operator=(MappedFile&&) noexcept;

  /// Errors name the path and why: missing, a folder, unreadable, empty.
  static Result<MappedFile> open(const std::string& path);

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

  /// Tells the system that these bytes will soon be read in order.
  void will_read(std::size_t offset, std::size_t length) const;
  /// Drops the whole pages inside the range from this process's resident memory;
  /// they come back from the file when touched again.
  void release(std::size_t offset, std::size_t length) const;

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::string path_;
};

}  // namespace ridgeline
