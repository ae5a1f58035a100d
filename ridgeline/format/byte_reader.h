#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace ridgeline {

static_assert(std::endian::native == std::endian::little, "GGUF files are read as they lie");

/// Reads little-endian numbers and strings one after the other and never past the end:
/// a read that does not fit returns false and leaves the position where it was.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::size_t position() const { return position_; }
  std::size_t remaining() const { return bytes_.size() - position_; }
  /// Whether `count` things of at least `bytes_each` can still follow.
  bool has_room_for(std::uint64_t count, std::size_t bytes_each) const {
    return count <= remaining() / bytes_each;
  }

  template <class T>
  bool read(T& out) {
    if (remaining() < sizeof(T)) return false;
    std::memcpy(&out, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return true;
  }

  /// A 64-bit length, then that many bytes: a view of them.
  bool read_string(std::string_view& out) {
    const std::size_t start = position_;
    std::uint64_t length = 0;
    if (!read(length)) return false;
    if (length > remaining()) {
      position_ = start;
      return false;
    }
    const auto size = static_cast<std::size_t>(length);
    out = {reinterpret_cast<const char*>(bytes_.data() + position_), size};
    position_ += size;
    return true;
  }

 private:
  std::span<const std::byte> bytes_;
  std::size_t position_ = 0;
};

}  // namespace ridgeline
