#include "ridgeline/tensor/buffer.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>

namespace ridgeline {

Result<Buffer> Buffer::allocate(std::size_t bytes, const char* what) {
  Buffer buffer;
  if (bytes == 0) return buffer;
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED)
    return fail(fmt::format("cannot allocate {:.1f} MiB for {}: {}",
                            static_cast<double>(bytes) / (1 << 20), what, std::strerror(errno)));
  // Fewer page faults while a model loads; the system may ignore it.
  if (bytes >= (std::size_t{4} << 20)) madvise(p, bytes, MADV_HUGEPAGE);
  buffer.data_ = static_cast<std::byte*>(p);
  buffer.bytes_ = bytes;
  return buffer;
}

Buffer::~Buffer() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

}  // namespace ridgeline
