// Kernels that do little but load, on panels that begin at a multiple of 64 bytes and on
// panels that do not, where every load of a whole cache line touches two.

#include <fmt/format.h>

#include <array>
#include <cstring>

#include "ridgeline/quant/block_format.h"
#include "ridgeline/tools/kernel_bench_run.h"

namespace ridgeline {
namespace {

/// A place that holds about so many bytes, and inputs that make panels fit it.
struct Place {
  const char* name;
  std::size_t bytes;
  std::int64_t inputs;
};
constexpr std::array kPlaces{Place{"L1", 20 << 10, 256}, Place{"L2", 300 << 10, 2048},
                             Place{"memory", 160 << 20, 2048}};
/// Bytes past a multiple of 64: a word, which is as badly aligned as floats get.
constexpr std::array<std::size_t, 2> kOffsets{0, 4};
constexpr std::array kFormats{DType::kF32, DType::kQ4_0};

/// Copies of one panel from `offset` on, and their products with one row.
class Panels {
 public:
  Panels(const KernelTable& kernels, const WeightKernel& kernel, std::int64_t inputs,
         Buffer& storage)
      : kernel_(kernel),
        width_(kernels.panel_width),
        inputs_(inputs),
        bytes_(kernel.panel_bytes(inputs)),
        storage_(storage),
        panel_(bytes_),
        acc_(static_cast<std::size_t>(width_)) {
    const std::size_t row = row_bytes(kernel.weight, inputs);
    std::vector<std::byte> file(row * static_cast<std::size_t>(width_));
    const auto values = random_floats(static_cast<std::size_t>(inputs * width_), 0.02F);
    for (int r = 0; r < width_; ++r)
      encode(kernel.weight, values.data() + r * inputs, inputs,
             file.data() + static_cast<std::size_t>(r) * row);
    kernel.pack_panel(file.data(), row, width_, inputs, panel_.data());
    const auto x = random_floats(static_cast<std::size_t>(inputs), 1.0F);
    const ActivationKernel& packer = *find_activation_kernel(kernels, kernel.activation);
    tile_.resize(packer.tile_bytes(1, inputs));
    packer.pack(x.data(), inputs, 1, inputs, tile_.data());
  }

  void put(std::size_t bytes, std::size_t offset) {
    count_ = std::max<std::size_t>(1, bytes / bytes_);
    offset_ = offset;
    for (std::size_t p = 0; p < count_; ++p) std::memcpy(at(p), panel_.data(), bytes_);
  }
  void multiply() {
    for (std::size_t p = 0; p < count_; ++p)
      kernel_.tile[1](at(p), tile_.data(), inputs_, 0, inputs_, acc_.data(), width_, false,
                      nullptr);
  }
  const std::vector<float>& result() const { return acc_; }
  double bytes() const { return static_cast<double>(count_ * bytes_); }

 private:
  std::byte* at(std::size_t p) { return storage_.data() + offset_ + p * bytes_; }

  const WeightKernel& kernel_;
  int width_;
  std::int64_t inputs_;
  std::size_t bytes_;
  Buffer& storage_;
  std::vector<std::byte> panel_, tile_;
  std::vector<float> acc_;
  std::size_t count_ = 0, offset_ = 0;
};

Status bench_place(KernelBenchRun& run, const KernelTable& kernels, const WeightKernel& kernel,
                   const Place& place, Buffer& storage) {
  Panels panels(kernels, kernel, place.inputs, storage);
  std::vector<float> aligned_result;
  double aligned_seconds = 0;
  for (const std::size_t offset : kOffsets) {
    panels.put(place.bytes, offset);
    panels.multiply();
    if (offset == 0) aligned_result = panels.result();
    if (panels.result() != aligned_result)
      return fail(fmt::format("the {} product of {} has another result at an unaligned address",
                              kernels.name, name(kernel.weight)));
    KernelLine line;
    line.section = KernelSection::kMemory;
    line.isa = kernels.name;
    line.format = name(kernel.weight);
    line.what = fmt::format("loads from {}, {}", place.name,
                            offset == 0 ? "aligned" : fmt::format("{} bytes off", offset));
    line.rows = 1;
    line.seconds = run.seconds_of([&] { panels.multiply(); });
    line.bytes = panels.bytes();
    if (offset == 0)
      aligned_seconds = line.seconds;
    else
      line.over_other = aligned_seconds / line.seconds;
    run.add(line);
  }
  return {};
}

}  // namespace

Status bench_unaligned_loads(KernelBenchRun& run) {
  RIDGELINE_TRY(Buffer storage, Buffer::allocate(kPlaces.back().bytes + (1 << 20),
                                                 "panels at unaligned addresses"));
  std::set<TileKernel> seen;
  for (const KernelTable* kernels : run.tables())
    for (const DType format : kFormats) {
      const WeightKernel* kernel = find_weight_kernel(*kernels, format, ActivationPrecision::kFast);
      if (!run.wants(format) || !seen.insert(kernel->tile[1]).second) continue;
      for (const Place& place : kPlaces) {
        if (run.time_is_over()) {
          run.note(fmt::format("no time was left for {} loads of {}", kernels->name, name(format)));
          break;
        }
        RIDGELINE_TRY_STATUS(bench_place(run, *kernels, *kernel, place, storage));
      }
    }
  return {};
}

}  // namespace ridgeline
