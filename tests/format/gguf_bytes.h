#pragma once

#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace ridgeline::testing_gguf {

/// Builds a GGUF file by hand, right or wrong, without the project's own writer.
class Bytes {
 public:
  template <class T>
  Bytes& put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Bytes& text(std::string_view text) {
    put(static_cast<std::uint64_t>(text.size()));
    bytes_.append(text);
    return *this;
  }
  Bytes& header(std::uint64_t tensors, std::uint64_t pairs, std::uint32_t version = 3) {
    bytes_.append("GGUF");
    return put(version).put(tensors).put(pairs);
  }
  Bytes& key(std::string_view name, std::uint32_t type) { return text(name).put(type); }
  /// Sizes are innermost first, as in the file.
  Bytes& tensor(std::string_view name, std::initializer_list<std::uint64_t> sizes,
                std::uint32_t type, std::uint64_t offset) {
    text(name).put(static_cast<std::uint32_t>(sizes.size()));
    for (const std::uint64_t size : sizes) put(size);
    return put(type).put(offset);
  }
  Bytes& pad(std::size_t alignment = 32) {
    while (bytes_.size() % alignment != 0) bytes_ += '\0';
    return *this;
  }
  Bytes& zeros(std::size_t count) {
    bytes_.append(count, '\0');
    return *this;
  }

  std::string& string() { return bytes_; }
  std::span<const std::byte> view() const { return std::as_bytes(std::span(bytes_)); }

 private:
  std::string bytes_;
};

}  // namespace ridgeline::testing_gguf
