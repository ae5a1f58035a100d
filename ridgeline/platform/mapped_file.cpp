#include "ridgeline/platform/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "ridgeline/platform/file_descriptor.h"

namespace ridgeline {
namespace {

std::int64_t nanoseconds(const timespec& t) { return t.tv_sec * 1'000'000'000 + t.tv_nsec; }

std::size_t page_bytes() {
  static const auto bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::string& path) {
  // O_NONBLOCK: opening a FIFO without a writer would wait for ever.
  const FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) return system_failure(path, "open the file", errno);
  return of_descriptor(fd.get(), path);
}

Result<MappedFile> MappedFile::of_descriptor(int fd, const std::string& path) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return system_failure(path, "read the file's size", errno);
  if (S_ISDIR(info.st_mode)) return fail(fmt::format("{}: is a folder, expected a file", path));
  if (!S_ISREG(info.st_mode)) {
    return fail(fmt::format("{}: is not a regular file, so it cannot be mapped", path));
  }
  if (info.st_size == 0) return fail(fmt::format("{}: the file is empty", path));

  const auto size = static_cast<std::size_t>(info.st_size);
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (data == MAP_FAILED) return system_failure(path, "map the file", errno);
  MappedFile file;
  file.data_ = static_cast<const std::byte*>(data);
  file.size_ = size;
  file.path_ = path;
  file.identity_ = {info.st_dev, info.st_ino, size, nanoseconds(info.st_mtim),
                    nanoseconds(info.st_ctim)};
  return file;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      path_(std::move(other.path_)),
      identity_(other.identity_) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(path_, other.path_);
  std::swap(identity_, other.identity_);
  return *this;
}

void MappedFile::will_read(std::size_t offset, std::size_t length) const {
  if (offset >= size_ || length == 0) return;
  const std::size_t begin = offset / page_bytes() * page_bytes();
  const std::size_t end = offset + std::min(length, size_ - offset);
  // Advice: where it is refused, the pages are read when they are touched.
  ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_WILLNEED);
}

void MappedFile::prefer_huge_pages() const {
  ::madvise(const_cast<std::byte*>(data_), size_, MADV_HUGEPAGE);
}

void MappedFile::release(std::size_t offset, std::size_t length) const {
  if (offset >= size_ || length == 0) return;
  const std::size_t page = page_bytes();
  const std::size_t begin = (offset + page - 1) / page * page;
  // The last page ends with the file, even when it is not full.
  const std::size_t stop = offset + std::min(length, size_ - offset);
  const std::size_t end = stop == size_ ? size_ : stop / page * page;
  if (begin >= end) return;
  ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

}  // namespace ridgeline
