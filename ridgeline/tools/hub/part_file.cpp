#include "ridgeline/tools/hub/part_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <numeric>

#include "ridgeline/base/check.h"

namespace ridgeline::hub {
namespace {

struct Header {
  std::array<char, 8> magic;
  std::uint64_t size, segment_bytes;
  bool operator==(const Header&) const = default;
};
constexpr std::array<char, 8> kMagic{'R', 'L', 'P', 'A', 'R', 'T', '0', '1'};

Status write_all(int fd, const std::string& path, std::uint64_t offset,
                 std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return system_failure(path, "write the file", n < 0 ? errno : EIO);
    offset += static_cast<std::uint64_t>(n);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

bool read_all(int fd, std::uint64_t offset, std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    offset += static_cast<std::uint64_t>(n);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return true;
}

}  // namespace

PartFile::PartFile(FileDescriptor fd, std::string path, std::uint64_t size,
                   std::uint64_t segment_bytes)
    : fd_(std::move(fd)),
      path_(std::move(path)),
      size_(size),
      segment_bytes_(segment_bytes),
      there_((size + segment_bytes - 1) / segment_bytes, 0) {}

Result<PartFile> PartFile::open(const std::string& path, std::uint64_t size,
                                std::uint64_t segment_bytes) {
  RIDGELINE_CHECK(size > 0 && segment_bytes > 0);
  FileDescriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (fd.get() < 0) return system_failure(path, "create the file", errno);
  PartFile part(std::move(fd), path, size, segment_bytes);
  if (part.read_notes()) return part;
  const std::uint64_t bytes = size + sizeof(Header) + part.there_.size() * sizeof(std::uint64_t);
  const auto length = static_cast<off_t>(bytes);
  if (::ftruncate(part.fd_.get(), 0) != 0) return system_failure(path, "empty the file", errno);
  if (::fallocate(part.fd_.get(), 0, 0, length) != 0) {
    const int error = errno;
    // Not every file system can reserve space; then a full disk is met on the way.
    const bool no_such_call = error == EOPNOTSUPP || error == ENOSYS;
    if (!no_such_call || ::ftruncate(part.fd_.get(), length) != 0) {
      part.remove();
      return system_failure(path, fmt::format("reserve {} bytes", bytes).c_str(),
                            no_such_call ? errno : error);
    }
  }
  RIDGELINE_TRY_STATUS(part.write_notes());
  return part;
}

bool PartFile::read_notes() {
  struct stat info {};
  Header header{};
  const auto there = std::as_writable_bytes(std::span(there_));
  const bool fits =
      ::fstat(fd_.get(), &info) == 0 &&
      static_cast<std::uint64_t>(info.st_size) == size_ + sizeof header + there.size() &&
      read_all(fd_.get(), size_, std::as_writable_bytes(std::span(&header, 1))) &&
      header == Header{kMagic, size_, segment_bytes_} &&
      read_all(fd_.get(), size_ + sizeof header, there);
  bool sound = fits;
  for (std::size_t i = 0; sound && i < there_.size(); ++i) sound = there_[i] <= end(i) - begin(i);
  if (!sound) std::ranges::fill(there_, 0);
  return sound;
}

Status PartFile::write_notes() const {
  const Header header{kMagic, size_, segment_bytes_};
  RIDGELINE_TRY_STATUS(write_all(fd_.get(), path_, size_, std::as_bytes(std::span(&header, 1))));
  return write_all(fd_.get(), path_, size_ + sizeof header, std::as_bytes(std::span(there_)));
}

std::uint64_t PartFile::end(std::size_t segment) const {
  return std::min(size_, begin(segment) + segment_bytes_);
}

std::uint64_t PartFile::bytes_there() const {
  return std::accumulate(there_.begin(), there_.end(), std::uint64_t{0});
}

std::uint64_t PartFile::there_until(std::uint64_t offset) const {
  for (std::size_t i = offset / segment_bytes_; i < there_.size(); ++i)
    if (!is_done(i)) return std::max(offset, begin(i) + there_[i]);
  return size_;
}

Status PartFile::write(std::uint64_t offset, std::span<const std::byte> bytes) const {
  RIDGELINE_CHECK(offset <= size_ && bytes.size() <= size_ - offset);
  return write_all(fd_.get(), path_, offset, bytes);
}

Status PartFile::read(std::uint64_t offset, std::span<std::byte> bytes) const {
  if (!read_all(fd_.get(), offset, bytes)) return system_failure(path_, "read the file", errno);
  return {};
}

Status PartFile::note(std::uint64_t offset, std::uint64_t bytes) {
  const std::uint64_t stop = offset + bytes;
  for (std::size_t i = offset / segment_bytes_; i < there_.size() && begin(i) < stop; ++i) {
    there_[i] = std::max(there_[i], std::min(stop, end(i)) - begin(i));
    RIDGELINE_TRY_STATUS(write_all(fd_.get(), path_,
                                   size_ + sizeof(Header) + i * sizeof(std::uint64_t),
                                   std::as_bytes(std::span(&there_[i], 1))));
  }
  return {};
}

void PartFile::begin_writeback(std::uint64_t begin, std::uint64_t end) const {
  ::sync_file_range(fd_.get(), static_cast<off_t>(begin), static_cast<off_t>(end - begin),
                    SYNC_FILE_RANGE_WRITE);
}

Status PartFile::restart() {
  std::ranges::fill(there_, 0);
  return write_notes();
}

Status PartFile::publish(const std::string& path) {
  // The notes stay while the disk is waited for, which may take long enough to be interrupted.
  if (::fdatasync(fd_.get()) != 0 || ::ftruncate(fd_.get(), static_cast<off_t>(size_)) != 0)
    return system_failure(path_, "write the file to disk", errno);
  if (::rename(path_.c_str(), path.c_str()) != 0)
    return system_failure(path, "rename the complete file to this name", errno);
  return {};
}

void PartFile::remove() const { ::unlink(path_.c_str()); }

}  // namespace ridgeline::hub
