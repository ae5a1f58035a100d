#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "ridgeline/base/result.h"

namespace ridgeline {

/// What the system knows a file by. Whoever changes its content changes ctime_ns too,
/// which no program can set.
struct FileIdentity {
  std::uint64_t device = 0, inode = 0, bytes = 0;
  std::int64_t mtime_ns = 0, ctime_ns = 0;
  bool operator==(const FileIdentity&) const = default;
};

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
  /// The file that is open as `fd`, which may be closed afterwards.
  static Result<MappedFile> of_descriptor(int fd, const std::string& path);

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }
  /// As it was when the file was mapped.
  const FileIdentity& identity() const { return identity_; }

  /// Tells the system that these bytes will soon be read in order.
  void will_read(std::size_t offset, std::size_t length) const;
  /// Asks for huge pages where the file comes from disk; the system may ignore it.
  void prefer_huge_pages() const;
  /// Drops the whole pages inside the range from this process's resident memory;
  /// they come back from the file when touched again.
  void release(std::size_t offset, std::size_t length) const;

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::string path_;
  FileIdentity identity_;
};

}  // namespace ridgeline
