#include "ridgeline/platform/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <system_error>
#include <utility>

namespace ridgeline {
namespace {

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

tl::unexpected<Error> system_failure(const std::string& path, const char* what, int error) {
  return fail(fmt::format("{}: cannot {}: {}", path, what,
                          std::error_code(error, std::generic_category()).message()));
}

std::size_t page_bytes() {
  static const auto bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::string& path) {
  // O_NONBLOCK: opening a FIFO without a writer would wait for ever.
  const FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) return system_failure(path, "open the file", errno);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return system_failure(path, "read the file's size", errno);
  if (S_ISDIR(info.st_mode)) return fail(fmt::format("{}: is a folder, expected a file", path));
  if (!S_ISREG(info.st_mode)) {
    return fail(fmt::format("{}: is not a regular file, so it cannot be mapped", path));
  }
  if (info.st_size == 0) return fail(fmt::format("{}: the file is empty", path));

  const auto size = static_cast<std::size_t>(info.st_size);
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (data == MAP_FAILED) return system_failure(path, "map the file", errno);
  MappedFile file;
  file.data_ = static_cast<const std::byte*>(data);
  file.size_ = size;
  file.path_ = path;
  return file;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      path_(std::move(other.path_)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(path_, other.path_);
  return *this;
}

void MappedFile::will_read(std::size_t offset, std::size_t length) const {
  if (offset >= size_ || length == 0) return;
  const std::size_t begin = offset / page_bytes() * page_bytes();
  const std::size_t end = offset + std::min(length, size_ - offset);
  // Advice: where it is refused, the pages are read when they are touched.
  ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_WILLNEED);
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
