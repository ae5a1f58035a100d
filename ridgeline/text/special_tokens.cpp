#include "ridgeline/text/special_tokens.h"

#include <algorithm>

namespace ridgeline {

SpecialTokens::SpecialTokens(const VocabularyData& data) : nodes_(1) {
  using Type = VocabularyData::TokenType;
  for (std::size_t i = 0; i < data.tokens.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    const Type type = data.type(id);
    if (type == Type::kControl || type == Type::kUnknown || type == Type::kUserDefined) {
      insert(data.tokens[i], id, type == Type::kUserDefined);
    }
  }
  link_suffixes();
}

SpecialTokens::SpecialTokens(std::span<const Entry> entries) : nodes_(1) {
  for (const Entry& entry : entries) insert(entry.text, entry.id, entry.is_user_defined);
  link_suffixes();
}

void SpecialTokens::insert(std::string_view text, TokenId id, bool user_defined) {
  if (text.empty()) return;
  std::uint32_t node = kRoot;
  for (std::size_t i = text.size(); i-- > 0;) {
    const std::uint64_t key = edge(node, static_cast<unsigned char>(text[i]));
    const auto next = static_cast<std::uint32_t>(nodes_.size());
    if (edges_.insert(key, next)) {
      nodes_.emplace_back();
      edges_in_order_.push_back(key);
      node = next;
    } else {
      node = static_cast<std::uint32_t>(edges_.find(key, kRoot));
    }
  }
  const Longest self = {id, static_cast<std::uint32_t>(text.size())};
  if (nodes_[node].any.id == kNoToken) nodes_[node].any = self;
  if (user_defined && nodes_[node].user_defined.id == kNoToken) nodes_[node].user_defined = self;
}

void SpecialTokens::link_suffixes() {
  // Breadth first: a node's suffix is shorter than it, so it must be done before.
  std::vector<std::uint32_t> depth(nodes_.size());
  for (const std::uint64_t key : edges_in_order_) {
    depth[edges_.find(key, kRoot)] = depth[key >> 8] + 1;
  }
  std::stable_sort(
      edges_in_order_.begin(), edges_in_order_.end(),
      [&depth](std::uint64_t a, std::uint64_t b) { return depth[a >> 8] < depth[b >> 8]; });
  for (const std::uint64_t key : edges_in_order_) {
    const auto parent = static_cast<std::uint32_t>(key >> 8);
    const auto byte = static_cast<unsigned char>(key & 0xFF);
    const auto child = static_cast<std::uint32_t>(edges_.find(key, kRoot));
    Node& node = nodes_[child];
    if (parent == kRoot) {
      from_root_[byte] = child;
    } else {
      node.suffix = step(nodes_[parent].suffix, byte);
    }
    const Node& suffix = nodes_[node.suffix];
    if (node.any.id == kNoToken) node.any = suffix.any;
    if (node.user_defined.id == kNoToken) node.user_defined = suffix.user_defined;
  }
  edges_in_order_ = std::vector<std::uint64_t>();
}

std::uint32_t SpecialTokens::step(std::uint32_t node, unsigned char byte) const {
  while (node != kRoot) {
    const auto next = static_cast<std::uint32_t>(edges_.find(edge(node, byte), kRoot));
    if (next != kRoot) return next;
    node = nodes_[node].suffix;
  }
  return from_root_[byte];
}

std::vector<SpecialTokens::Occurrence> SpecialTokens::find_all(std::string_view text,
                                                               bool parse_special) const {
  std::vector<Occurrence> found;  // from the end of the text, the longest at each place
  if (nodes_.size() == 1) return found;
  std::uint32_t node = kRoot;
  for (std::size_t at = text.size(); at-- > 0;) {
    const auto byte = static_cast<unsigned char>(text[at]);
    node = node == kRoot ? from_root_[byte] : step(node, byte);
    if (node == kRoot) continue;
    const Longest& longest = parse_special ? nodes_[node].any : nodes_[node].user_defined;
    if (longest.id != kNoToken) found.push_back({at, longest.length_bytes, longest.id});
  }
  std::reverse(found.begin(), found.end());
  std::size_t end = 0;
  std::erase_if(found, [&end](const Occurrence& occurrence) {
    if (occurrence.begin < end) return true;
    end = occurrence.begin + occurrence.length_bytes;
    return false;
  });
  return found;
}

}  // namespace ridgeline
