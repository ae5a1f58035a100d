#pragma once

#include <cstddef>
#include <utility>

#include "ridgeline/base/result.h"

namespace ridgeline {

/// Owned, zeroed, page-aligned memory straight from the kernel: pages become
/// resident when first touched and go back to the system on destruction.
class Buffer {
 public:
  Buffer() = default;
  ~Buffer();
  Buffer(Buffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }

  /// Error: "cannot allocate N MiB for WHAT: ...".
  static Result<Buffer> allocate(std::size_t bytes, const char* what);

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  std::size_t size() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace ridgeline
