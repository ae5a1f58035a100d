#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace ridgeline {

/// Texts as a tree of their bytes, which finds all of them that a text begins with.
/// Nodes are numbered breadth first, so that a node's children stand side by side and
/// the last of them before the next node's first: a node is five bytes and its value.
class ByteTrie {
 public:
  struct Entry {
    std::string_view text;  ///< an empty one is left out
    std::int32_t value;     ///< not negative
  };
  /// Of equal texts the first counts. The texts need not outlive the constructor.
  explicit ByteTrie(std::vector<Entry> entries);

  /// Calls visit(length_bytes, value) for every entry that `text` begins with, the
  /// shortest first.
  template <class Visit>
  void for_each_prefix(std::string_view text, Visit&& visit) const {
    if (text.empty()) return;
    std::uint32_t node = from_root_[static_cast<unsigned char>(text[0])];
    for (std::size_t length = 1; node != kNone; ++length) {
      if (values_[node] != kNoValue) visit(length, values_[node]);
      if (length == text.size()) return;
      node = child(node, text[length]);
    }
  }

 private:
  static constexpr std::uint32_t kNone = 0;  // the root, which is nobody's child
  static constexpr std::int32_t kNoValue = -1;

  std::uint32_t child(std::uint32_t node, char byte) const {
    const std::uint32_t first = first_children_[node], end = first_children_[node + 1];
    const void* found = std::memchr(labels_.data() + first, byte, end - first);
    if (found == nullptr) return kNone;
    return static_cast<std::uint32_t>(static_cast<const char*>(found) - labels_.data());
  }

  std::vector<std::uint32_t> first_children_;  // by node, and one more
  std::vector<char> labels_;                   // by node: the byte that leads to it
  std::vector<std::int32_t> values_;           // by node
  std::array<std::uint32_t, 256> from_root_{};
};

}  // namespace ridgeline
