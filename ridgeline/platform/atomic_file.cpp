#include "ridgeline/platform/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <random>
#include <system_error>

namespace ridgeline {
namespace {

constexpr const char* kSuffix = ".tmp";

/// Whether this descriptor holds the file's lock, and the file still has a name: between
/// creating and locking it, remove_abandoned() of another process may have come. Where
/// the file system has no locks nothing is ever taken for abandoned.
bool is_ours(int fd) {
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return false;
  struct stat info {};
  return ::fstat(fd, &info) == 0 && info.st_nlink > 0;
}

/// Reserves the blocks; where the file system cannot, only the size is set.
int reserve(int fd, std::size_t bytes) {
  const auto size = static_cast<off_t>(bytes);
  if (::fallocate(fd, 0, 0, size) == 0) return 0;
  if (errno != EOPNOTSUPP && errno != ENOSYS) return errno;
  return ::ftruncate(fd, size) == 0 ? 0 : errno;
}

}  // namespace

Result<AtomicFile> AtomicFile::create(const std::string& path, std::size_t bytes) {
  constexpr int kAttempts = 100;
  std::random_device random;
  for (int i = 0; i < kAttempts; ++i) {
    std::string temporary = fmt::format("{}.{:08x}{}", path, random(), kSuffix);
    FileDescriptor fd(::open(temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (fd.get() < 0 && errno == EEXIST) continue;
    if (fd.get() < 0) return system_failure(temporary, "create the file", errno);
    if (!is_ours(fd.get())) continue;
    AtomicFile file(std::move(fd), path, std::move(temporary));
    if (const int error = reserve(file.fd_.get(), bytes); error != 0)
      return system_failure(path, fmt::format("reserve {} bytes", bytes).c_str(), error);
    return file;
  }
  return fail(fmt::format("{}: cannot create a temporary file beside it", path));
}

AtomicFile::~AtomicFile() {
  if (!temporary_path_.empty() && fd_.get() >= 0) ::unlink(temporary_path_.c_str());
}

Status AtomicFile::write(std::size_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return system_failure(path_, "write the file", n < 0 ? errno : EIO);
    offset += static_cast<std::size_t>(n);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Result<MappedFile> AtomicFile::publish() {
  // Not the folder: if a power cut undoes the new name, the file is written again.
  if (::fdatasync(fd_.get()) != 0) return system_failure(path_, "write the file to disk", errno);
  if (::rename(temporary_path_.c_str(), path_.c_str()) != 0)
    return system_failure(path_, "rename the complete file to this name", errno);
  temporary_path_.clear();
  return MappedFile::of_descriptor(fd_.get(), path_);
}

void AtomicFile::remove_abandoned(const std::string& folder, const std::string& prefix) {
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (!name.starts_with(prefix) || !name.ends_with(kSuffix)) continue;
    const FileDescriptor fd(
        ::open(it->path().c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
    if (fd.get() >= 0 && ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) ::unlink(it->path().c_str());
  }
}

}  // namespace ridgeline
