#include "ridgeline/engine/speculation/suffix_automaton.h"

#include <algorithm>

namespace ridgeline {
namespace {

/// Of the bytes, so that prose fills nodes and slots of further transitions at the same time
/// (70 %; source text would have 78 %).
constexpr double kNodeShare = 0.7;
/// Of the slots that are used at most; linear probing then reads 2.5 slots for one that is
/// there (Knuth, volume 3, section 6.4).
constexpr double kMostLoad = 0.75;
constexpr std::size_t kFewest = 16;  ///< nodes, slots

}  // namespace

SuffixAutomaton::SuffixAutomaton(std::size_t bytes) {
  constexpr std::size_t kMostNodes = std::size_t{1} << kStateBits;
  const double size = std::min(static_cast<double>(bytes), kMostNodes * sizeof(Node) / kNodeShare);
  nodes_.resize(
      std::clamp(static_cast<std::size_t>(size * kNodeShare / sizeof(Node)), kFewest, kMostNodes));
  edges_.resize(
      std::max(static_cast<std::size_t>(size * (1 - kNodeShare) / sizeof(Edge)), kFewest));
}

std::size_t SuffixAutomaton::bytes() const {
  return nodes_.capacity() * sizeof(Node) + edges_.capacity() * sizeof(Edge) +
         path_.capacity() * sizeof(State);
}

void SuffixAutomaton::clear() {
  nodes_[kRoot] = Node{};
  num_states_ = 1;
  num_edges_ = 0;
  tokens_ = 0;
  last_ = kRoot;
  if (epoch_ == kLastEpoch) {
    std::fill(edges_.begin(), edges_.end(), Edge{});
    epoch_ = 0;
  }
  ++epoch_;
}

/// The transition's slot, or the free one where it belongs.
std::size_t SuffixAutomaton::find_slot(State state, TokenId token) const {
  const std::uint32_t source = key(state);
  std::uint64_t h = (std::uint64_t{state} << 32 | static_cast<std::uint32_t>(token));
  h = (h ^ (h >> 31)) * 0x9e3779b97f4a7c15u;
  std::size_t slot = static_cast<std::size_t>(((h >> 32) * edges_.size()) >> 32);
  while (edges_[slot].source >> kStateBits == epoch_) {
    if (edges_[slot].source == source && edges_[slot].token == token) break;
    if (++slot == edges_.size()) slot = 0;
  }
  return slot;
}

/// kRoot: there is no such transition.
SuffixAutomaton::State SuffixAutomaton::step(State state, TokenId token) const {
  const Node& node = nodes_[state];
  if (node.target == kRoot || node.token == token) return node.target;
  if (node.more == 0) return kRoot;
  const Edge& edge = edges_[find_slot(state, token)];
  return edge.source == key(state) ? edge.target : kRoot;
}

void SuffixAutomaton::add_edge(State from, TokenId token, State to) {
  Node& node = nodes_[from];
  if (node.target == kRoot) {
    node.token = token;
    node.target = to;
    return;
  }
  const std::size_t slot = find_slot(from, token);
  edges_[slot] = {key(from), token, to, node.more};
  node.more = static_cast<std::uint32_t>(slot + 1);
  ++num_edges_;
}

void SuffixAutomaton::redirect(State from, TokenId token, State to) {
  Node& node = nodes_[from];
  if (node.token == token) {
    node.target = to;
  } else {
    edges_[find_slot(from, token)].target = to;
  }
}

std::size_t SuffixAutomaton::further_edges(State state) const {
  std::size_t n = 0;
  for (std::uint32_t i = nodes_[state].more; i != 0; i = edges_[i - 1].more) ++n;
  return n;
}

bool SuffixAutomaton::has_room(std::size_t nodes, std::size_t edges) const {
  return num_states_ + nodes <= nodes_.size() &&
         static_cast<double>(num_edges_ + edges) <= kMostLoad * static_cast<double>(edges_.size());
}

SuffixAutomaton::State SuffixAutomaton::add_node(const Node& node) {
  nodes_[num_states_] = node;
  return static_cast<State>(num_states_++);
}

/// Takes from `target` the substrings that are as long as those of `from` and `token` at most.
SuffixAutomaton::State SuffixAutomaton::split(State from, TokenId token, State target) {
  Node node = nodes_[target];
  node.length = nodes_[from].length + 1;
  node.more = 0;
  const State copy = add_node(node);
  for (std::uint32_t i = nodes_[target].more; i != 0; i = edges_[i - 1].more)
    add_edge(copy, edges_[i - 1].token, edges_[i - 1].target);
  nodes_[target].link = copy;
  while (step(from, token) == target) {
    redirect(from, token, copy);
    if (from == kRoot) break;
    from = nodes_[from].link;
  }
  return copy;
}

bool SuffixAutomaton::append(TokenId token) {
  // First what is needed, so that a lack of room leaves everything as it was.
  path_.clear();
  State from = last_;
  State target = step(from, token);
  std::size_t edges = 0;
  while (target == kRoot) {
    path_.push_back(from);
    if (nodes_[from].target != kRoot) ++edges;
    if (from == kRoot) break;
    from = nodes_[from].link;
    target = step(from, token);
  }
  const bool splits = target != kRoot && nodes_[target].length != nodes_[from].length + 1;
  if (splits) edges += further_edges(target);
  if (!has_room((path_.empty() ? 0u : 1u) + (splits ? 1u : 0u), edges)) return false;

  State next = kRoot;
  if (!path_.empty()) {
    Node node;
    node.length = nodes_[last_].length + 1;
    next = add_node(node);
    for (const State state : path_) add_edge(state, token, next);
  }
  if (splits) target = split(from, token, target);
  if (path_.empty()) {
    next = target;
  } else {
    nodes_[next].link = target;
  }
  count(last_, token, next);
  last_ = next;
  ++tokens_;
  return true;
}

/// One more occurrence of what `after` stands for and of its suffixes, each behind a suffix of
/// `before`.
void SuffixAutomaton::count(State before, TokenId token, State after) {
  State state = after;
  for (int i = 0; i < kMostCounted && state != kRoot; ++i, state = nodes_[state].link)
    ++nodes_[state].count;
  state = after;
  for (int i = 0; i < kMostCounted && before != kRoot; ++i, before = nodes_[before].link) {
    Node& node = nodes_[before];
    while (nodes_[nodes_[state].link].length > node.length) state = nodes_[state].link;
    const std::uint32_t times = nodes_[state].count;
    if (node.favourite == token || times >= node.favourite_count) {
      node.favourite = token;
      node.favourite_count = times;
    }
  }
}

void SuffixAutomaton::advance(Match& match, TokenId token) const {
  State next = step(match.state, token);
  while (next == kRoot && match.state != kRoot) {
    shorten(match);
    next = step(match.state, token);
  }
  if (next == kRoot) return;
  match.state = next;
  ++match.length;
}

void SuffixAutomaton::settle(Match& match) const {
  while (match.state != kRoot && nodes_[nodes_[match.state].link].length >= match.length)
    match.state = nodes_[match.state].link;
}

std::optional<SuffixAutomaton::Continuation> SuffixAutomaton::likeliest(State state) const {
  const Node& node = nodes_[state];
  if (node.favourite_count == 0) return std::nullopt;
  return Continuation{node.favourite, node.favourite_count, node.count};
}

}  // namespace ridgeline
