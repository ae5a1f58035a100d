#include "ridgeline/tensor/buffer.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace ridgeline {

namespace {

constexpr std::size_t kHugeBytesMin = 2 * Buffer::kHugePageBytes;

void* map_anonymous(std::size_t bytes) {
  return mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/// A mapping that starts on a huge page, which not every kernel sees to by itself.
void* map_huge(std::size_t bytes) {
  constexpr std::size_t kHuge = Buffer::kHugePageBytes;
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::size_t size = (bytes + page - 1) / page * page;
  void* p = map_anonymous(size + kHuge);
  if (p == MAP_FAILED) return p;
  auto* const begin = static_cast<std::byte*>(p);
  const std::size_t skip = (kHuge - reinterpret_cast<std::uintptr_t>(begin) % kHuge) % kHuge;
  if (skip > 0) munmap(begin, skip);
  munmap(begin + skip + size, kHuge - skip);
  // Advice: the system may have no huge pages.
  madvise(begin + skip, size, MADV_HUGEPAGE);
  return begin + skip;
}

}  // namespace

Result<Buffer> Buffer::allocate(std::size_t bytes, const char* what) {
  Buffer buffer;
  if (bytes == 0) return buffer;
  void* p = bytes >= kHugeBytesMin ? map_huge(bytes) : map_anonymous(bytes);
  if (p == MAP_FAILED)
    return fail(fmt::format("cannot allocate {:.1f} MiB for {}: {}",
                            static_cast<double>(bytes) / (1 << 20), what, std::strerror(errno)));
  buffer.data_ = static_cast<std::byte*>(p);
  buffer.bytes_ = bytes;
  return buffer;
}

void Buffer::populate(std::size_t offset, std::size_t bytes) {
  // Where it is refused (Linux before 5.14), the pages come when they are touched.
  madvise(data_ + offset, bytes, MADV_POPULATE_WRITE);
}

Buffer::~Buffer() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

}  // namespace ridgeline
