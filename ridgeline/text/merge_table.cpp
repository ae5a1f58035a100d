#include "ridgeline/text/merge_table.h"

#include <algorithm>
#include <array>
#include <functional>

namespace ridgeline {
namespace {

// Up to here looking through all ranks for the lowest beats keeping a heap of them.
constexpr std::size_t kMaxScannedSymbols = 64;

}  // namespace

void MergeTable::apply(std::vector<Symbol>& symbols) const {
  if (symbols.size() <= kMaxScannedSymbols) {
    apply_scanning(symbols);
  } else {
    apply_with_heap(symbols);
  }
}

void MergeTable::apply_scanning(std::vector<Symbol>& symbols) const {
  std::size_t size = symbols.size();
  // merges[i] is that of symbols i and i + 1; ranks lie apart to be scanned quickly.
  std::array<Rank, kMaxScannedSymbols> ranks;
  std::array<SymbolId, kMaxScannedSymbols> results;
  const auto look_up = [&](std::size_t i) {
    const Merge merge = i + 1 < size ? find(symbols[i].id, symbols[i + 1].id) : Merge{};
    ranks[i] = merge.rank;
    results[i] = merge.result;
  };
  for (std::size_t i = 0; i < size; ++i) look_up(i);
  while (size > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < size; ++i) {
      if (ranks[i] < ranks[best]) best = i;
    }
    if (ranks[best] == kNoRank) break;
    symbols[best].id = results[best];
    --size;
    for (std::size_t i = best + 1; i < size; ++i) {
      symbols[i] = symbols[i + 1];
      ranks[i] = ranks[i + 1];
      results[i] = results[i + 1];
    }
    look_up(best);
    if (best > 0) look_up(best - 1);
  }
  symbols.resize(size);
}

void MergeTable::apply_with_heap(std::vector<Symbol>& symbols) const {
  constexpr std::uint32_t kEnd = std::numeric_limits<std::uint32_t>::max();
  struct Node {
    std::uint32_t previous, next;
    Merge merge;  // of this symbol and the next; no rank: none, or this one is gone
  };
  const auto size = static_cast<std::uint32_t>(symbols.size());
  std::vector<Node> nodes(size);
  for (std::uint32_t i = 0; i < size; ++i) {
    nodes[i].previous = i == 0 ? kEnd : i - 1;
    nodes[i].next = i + 1 == size ? kEnd : i + 1;
    if (i + 1 < size) nodes[i].merge = find(symbols[i].id, symbols[i + 1].id);
  }

  // Candidates ordered by rank, then by place. One whose node has another rank by now
  // is out of date; one whose node has the same rank again stands for the pair there.
  const auto candidate = [&nodes](std::uint32_t i) {
    return (std::uint64_t{nodes[i].merge.rank} << 32) | i;
  };
  std::vector<std::uint64_t> heap;
  heap.reserve(size);
  for (std::uint32_t i = 0; i < size; ++i) {
    if (nodes[i].merge.rank != kNoRank) heap.push_back(candidate(i));
  }
  std::make_heap(heap.begin(), heap.end(), std::greater<>());
  const auto look_up = [&](std::uint32_t i) {
    const std::uint32_t next = nodes[i].next;
    nodes[i].merge = next == kEnd ? Merge{} : find(symbols[i].id, symbols[next].id);
    if (nodes[i].merge.rank == kNoRank) return;
    heap.push_back(candidate(i));
    std::push_heap(heap.begin(), heap.end(), std::greater<>());
  };
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    const std::uint64_t top = heap.back();
    heap.pop_back();
    const auto i = static_cast<std::uint32_t>(top);
    Node& node = nodes[i];
    if (candidate(i) != top) continue;
    symbols[i].id = node.merge.result;
    Node& gone = nodes[node.next];
    gone.merge = {};
    node.next = gone.next;
    if (node.next != kEnd) nodes[node.next].previous = i;
    look_up(i);
    if (node.previous != kEnd) look_up(node.previous);
  }

  std::size_t kept = 0;
  for (std::uint32_t i = 0; i != kEnd; i = nodes[i].next) symbols[kept++] = symbols[i];
  symbols.resize(kept);
}

}  // namespace ridgeline
