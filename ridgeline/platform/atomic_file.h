#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "ridgeline/base/result.h"
#include "ridgeline/platform/file_descriptor.h"
#include "ridgeline/platform/mapped_file.h"

namespace ridgeline {

/// A file that takes its name only when it is complete and on disk: until publish()
/// it is PATH.RANDOM.tmp, locked by this process, and goes when this object goes.
/// Several processes may write the same PATH; the last one's stays.
class AtomicFile {
 public:
  /// Takes `bytes` of disk at once, so that a full disk is known before the work is done.
  static Result<AtomicFile> create(const std::string& path, std::size_t bytes);
  ~AtomicFile();
  AtomicFile(AtomicFile&&) = default;
  AtomicFile& operator=(AtomicFile&&) = delete;

  Status write(std::size_t offset, std::span<const std::byte> bytes);
  /// Gives it its name, and maps what was written.
  Result<MappedFile> publish();

  /// Deletes what processes that were killed left of PATH's and its neighbours' writing:
  /// PREFIX*.tmp in the folder that nobody has locked.
  static void remove_abandoned(const std::string& folder, const std::string& prefix);

 private:
  AtomicFile(FileDescriptor fd, std::string path, std::string temporary_path)
      : fd_(std::move(fd)), path_(std::move(path)), temporary_path_(std::move(temporary_path)) {}

  FileDescriptor fd_;
  std::string path_;
  std::string temporary_path_;  ///< "": published
};

}  // namespace ridgeline
