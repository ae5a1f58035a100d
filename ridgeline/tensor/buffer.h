#pragma once

#include <cstddef>
#include <utility>

#include "ridgeline/base/result.h"

namespace ridgeline {

/// Owned, zeroed, page-aligned memory straight from the kernel: pages become
/// resident when first touched and go back to the system on destruction. From 4 MiB on
/// in huge pages where the system has them.
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
  static constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;

  /// Makes a range resident now, as if it were touched. Two threads that touch the same
  /// huge page at once each clear one, and one of the two is thrown away.
  void populate(std::size_t offset, std::size_t bytes);

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  std::size_t size() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace ridgeline
