#pragma once

#include "ridgeline/kernels/impl/panel.h"

// Panels of the float types: blocks of 32 along k, the last one filled with zeros.

namespace ridgeline::RIDGELINE_ISA {
namespace {

template <std::size_t kElementBytes>
struct FloatBlocks {
  static constexpr int kElements = 1;
  static constexpr std::size_t kBytesPer32 = 32 * kPanelWidth * kElementBytes;
  static std::size_t panel_bytes(std::int64_t k) {
    return static_cast<std::size_t>((k + 31) / 32) * kBytesPer32;
  }
};

}  // namespace
}  // namespace ridgeline::RIDGELINE_ISA
