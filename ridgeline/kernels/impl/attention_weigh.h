#pragma once

#include "ridgeline/kernels/impl/attention_softmax.h"

// The weighted sum of a chunk's V for the rows of a tile, each over exactly the tokens that
// it sees: V of the others may hold anything (0 x NaN is NaN). Rows see one run of tokens
// each, and both ends of the runs ascend with the row; what some of the rows see is done for
// halves of them, and halves again. However a row's run is cut, its tokens come in order.

namespace ridgeline::RIDGELINE_ISA {
namespace {

/// V of a chunk.
struct ChunkValues {
  ChunkBlocks blocks;
  int panels;  ///< of d
};

/// acc = alpha acc + p V over the tokens [begin, end), for rows [first, last).
template <class Kv>
void weigh_run(const TileState& tile, const ChunkValues& v, int first, int last, int begin, int end,
               const float* alpha) {
  for (int r = first; r < last;) {
    const int rows = tile_within(last - r);
    WeighArgs args;
    args.alpha = alpha + r;
    args.p = tile.scores + r * kPanel;
    args.panel_stride = tile.tile_rows * kPanel;
    args.v = &v.blocks;
    args.v_panels = v.panels;
    args.token_begin = begin;
    args.token_end = end;
    for (int panel = 0; panel < v.panels;) {
      int log2_panels = 2;
      while ((1 << log2_panels) > panels_of(rows) || panel + (1 << log2_panels) > v.panels)
        --log2_panels;
      args.acc = tile.acc + panel * args.panel_stride + r * kPanel;
      args.first_panel = panel;
      kWeighTiles<Kv>.at[rows][log2_panels](args);
      panel += 1 << log2_panels;
    }
    r += rows;
  }
}

/// Adds the tokens [begin, end) as far as they come before a row's `visible`, to rows
/// [first, last), all of which see `begin` or nothing from there on.
template <class Kv>
void weigh_visible(const TileState& tile, const ChunkValues& v, int first, int last, int begin,
                   int end, const float* alpha) {
  const int least = tile.visible[first] < end ? tile.visible[first] : end;
  const int common = least > begin ? least : begin;
  if (common > begin || alpha != tile.ones)
    weigh_run<Kv>(tile, v, first, last, begin, common, alpha);
  if (common >= end || tile.visible[last - 1] <= common) return;
  const int middle = first + (last - first) / 2;
  weigh_visible<Kv>(tile, v, first, middle, common, end, tile.ones);
  weigh_visible<Kv>(tile, v, middle, last, common, end, tile.ones);
}

/// Likewise as far as they come after a row's `hidden`, too.
template <class Kv>
void weigh_between(const TileState& tile, const ChunkValues& v, int first, int last, int begin,
                   int end, const float* alpha) {
  const int most = tile.hidden[last - 1] < end ? tile.hidden[last - 1] : end;
  const int common = most > begin ? most : begin;
  // Before `common` only the earlier of several rows see something.
  if (common > begin && tile.hidden[first] < common) {
    const int middle = first + (last - first) / 2;
    weigh_between<Kv>(tile, v, first, middle, begin, common, alpha);
    weigh_between<Kv>(tile, v, middle, last, begin, common, alpha);
    alpha = tile.ones;
  }
  weigh_visible<Kv>(tile, v, first, last, common, end, alpha);
}

template <class Kv>
void add_values(const TileState& tile, const ChunkValues& v, Seen seen) {
  if (seen == Seen::kBetween)
    weigh_between<Kv>(tile, v, 0, tile.tile_rows, 0, kAttentionChunk, tile.alpha);
  else
    weigh_visible<Kv>(tile, v, 0, tile.tile_rows, 0, kAttentionChunk, tile.alpha);
}

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
