#pragma once

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "ridgeline/kernels/kernel_table.h"
#include "ridgeline/quant/block_format.h"
#include "ridgeline/tensor/buffer.h"

namespace ridgeline::bench {

inline std::vector<float> random_floats(std::size_t n, float size) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0.0F, size);
  std::vector<float> values(n);
  for (float& v : values) v = normal(random);
  return values;
}

/// `count` panels one after another, all with the same random weights: arithmetic and
/// memory do not care.
class Panels {
 public:
  Panels(const KernelTable& kernels, const WeightKernel& kernel, std::int64_t k, std::int64_t count)
      : bytes_(kernel.panel_bytes(k)), count_(count) {
    const auto rows = static_cast<std::size_t>(kernels.panel_width);
    const std::size_t row = row_bytes(kernel.weight, k);
    const auto values = random_floats(static_cast<std::size_t>(k) * rows, 0.02F);
    file_.resize(row * rows);
    for (std::size_t r = 0; r < rows; ++r)
      encode(kernel.weight, values.data() + r * static_cast<std::size_t>(k), k,
             file_.data() + r * row);
    storage_ = Buffer::allocate(bytes_ * static_cast<std::size_t>(count), "weights").value();
    kernel.pack_panel(file_.data(), row, kernels.panel_width, k, storage_.data());
    for (std::int64_t p = 1; p < count; ++p)
      std::memcpy(storage_.data() + static_cast<std::size_t>(p) * bytes_, storage_.data(), bytes_);
  }
  const std::byte* panel(std::int64_t p) const {
    return storage_.data() + static_cast<std::size_t>(p) * bytes_;
  }
  std::byte* data() { return storage_.data(); }
  std::size_t panel_bytes() const { return bytes_; }
  std::int64_t count() const { return count_; }
  const std::vector<std::byte>& file_rows() const { return file_; }

 private:
  std::size_t bytes_;
  std::int64_t count_;
  std::vector<std::byte> file_;
  Buffer storage_;
};

}  // namespace ridgeline::bench
