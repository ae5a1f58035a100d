#include "ridgeline/text/byte_trie.h"

#include <algorithm>

namespace ridgeline {

ByteTrie::ByteTrie(std::vector<Entry> entries) {
  std::erase_if(entries, [](const Entry& entry) { return entry.text.empty(); });
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.text < b.text; });
  const auto same_text = [](const Entry& a, const Entry& b) { return a.text == b.text; };
  entries.erase(std::unique(entries.begin(), entries.end(), same_text), entries.end());

  // A node is the range of entries that share its text, whose length is its depth.
  struct Range {
    std::uint32_t begin, end, depth;
  };
  std::vector<Range> ranges = {{0, static_cast<std::uint32_t>(entries.size()), 0}};
  labels_.push_back(0);
  for (std::size_t node = 0; node < ranges.size(); ++node) {
    auto [at, end, depth] = ranges[node];
    first_children_.push_back(static_cast<std::uint32_t>(ranges.size()));
    const bool is_entry = at < end && entries[at].text.size() == depth;
    values_.push_back(is_entry ? entries[at].value : kNoValue);
    if (is_entry) ++at;
    while (at < end) {
      const std::uint32_t begin = at;
      const char label = entries[begin].text[depth];
      while (at < end && entries[at].text[depth] == label) ++at;
      labels_.push_back(label);
      ranges.push_back({begin, at, depth + 1});
    }
  }
  first_children_.push_back(static_cast<std::uint32_t>(ranges.size()));
  for (std::uint32_t node = first_children_[0]; node < first_children_[1]; ++node) {
    from_root_[static_cast<unsigned char>(labels_[node])] = node;
  }
}

}  // namespace ridgeline
