#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace ridgeline {

/// Tokens in one block of the paged KV cache.
inline constexpr int kKvBlockTokens = 16;

/// Layers with the same window keep the same positions: they are a group, with block ids of
/// its own. So many windows a model may have at most, "everything" among them.
inline constexpr int kMaxKvGroups = 4;

/// Stands in a block table for a block that was given back: all rows to come are past its
/// positions' window, and nobody reads it.
inline constexpr std::int32_t kNoBlock = -1;

/// The block ids of one sequence, a table for each group of layers: entry i of a table is the
/// block of positions [16 i, 16 i + 16).
class KvBlockTables {
 public:
  using Table = std::span<const std::int32_t>;

  KvBlockTables() = default;
  /// The same ids in every group, for callers that keep everything.
  KvBlockTables(Table table) { tables_.fill(table); }
  KvBlockTables(const std::vector<std::int32_t>& table) : KvBlockTables(Table(table)) {}

  Table& operator[](int group) { return tables_[static_cast<std::size_t>(group)]; }
  const Table& operator[](int group) const { return tables_[static_cast<std::size_t>(group)]; }

 private:
  std::array<Table, kMaxKvGroups> tables_{};
};

}  // namespace ridgeline
