#pragma once

#include "ridgeline/quant/block_grid.h"
#include "ridgeline/quant/grid_search.h"

// How the grids of block_grid.h are stored: what each kind of block does with the result of a
// search (`take`), with wanted scales and offsets (`store`), and with levels (`pack`).
namespace ridgeline::grid_storage {

/// Q4_0, Q5_0, Q8_0, IQ4_NL: d. Q4_1, Q5_1: d and m, which is the offset.
void take_single(const GridChoice& choice, BlockGrid& grid);
void store_symmetric(const float* scale, const float* offset, BlockGrid& grid);
void store_affine(const float* scale, const float* offset, BlockGrid& grid);

/// Q3_K and IQ4_XS: eight or sixteen scales of 6 bits, stored with 32 added.
void take_q3_k(const GridChoice& choice, BlockGrid& grid);
void store_q3_k(const float* scale, const float* offset, BlockGrid& grid);
void take_iq4_xs(const GridChoice& choice, BlockGrid& grid);
void store_iq4_xs(const float* scale, const float* offset, BlockGrid& grid);
/// Q6_K: sixteen of 8 bits.
void take_q6_k(const GridChoice& choice, BlockGrid& grid);
void store_q6_k(const float* scale, const float* offset, BlockGrid& grid);

/// Q4_K, Q5_K: eight scales and offsets, of 6 bits. Q2_K: sixteen, of 4.
void take_k_affine(const GridChoice& choice, BlockGrid& grid);
void store_k_affine(const float* scale, const float* offset, BlockGrid& grid);
void take_q2_k(const GridChoice& choice, BlockGrid& grid);
void store_q2_k(const float* scale, const float* offset, BlockGrid& grid);

void pack_q4_0(const BlockGrid& grid, const std::uint8_t* levels, std::byte* block);
void pack_q4_1(const BlockGrid& grid, const std::uint8_t* levels, std::byte* block);
void pack_q5_0(const BlockGrid& grid, const std::uint8_t* levels, std::byte* block);
void pack_q5_1(const BlockGrid& grid, const std::uint8_t* levels, std::byte* block);
void pack_q8_0(const BlockGrid& grid, const std::uint8_t* levels, std::byte* block);
void pack_q2_k(const BlockGrid& grid, const std::uint8_t* levels, std::byte* block);
void pack_q3_k(const BlockGrid& grid, const std::uint8_t* levels, std::byte* block);
void pack_q4_k(const BlockGrid& grid, const std::uint8_t* levels, std::byte* block);
void pack_q5_k(const BlockGrid& grid, const std::uint8_t* levels, std::byte* block);
void pack_q6_k(const BlockGrid& grid, const std::uint8_t* levels, std::byte* block);
void pack_iq4_nl(const BlockGrid& grid, const std::uint8_t* levels, std::byte* block);
void pack_iq4_xs(const BlockGrid& grid, const std::uint8_t* levels, std::byte* block);

}  // namespace ridgeline::grid_storage
