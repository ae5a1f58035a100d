#include "ridgeline/ops/cpu/cpu_backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "ridgeline/base/check.h"
#include "ridgeline/ops/cpu/tiling.h"
#include "ridgeline/platform/crc32c.h"
#include "ridgeline/platform/topology.h"

namespace ridgeline {
namespace {

constexpr int kMaxThreads = 1024;

class HostBuffer final : public DeviceBuffer {
 public:
  explicit HostBuffer(Buffer buffer) : buffer_(std::move(buffer)) {}
  std::byte* data() override { return buffer_.data(); }
  std::size_t bytes() const override { return buffer_.size(); }

 private:
  Buffer buffer_;
};

struct alignas(64) PackedLine {
  std::byte bytes[64];
};

std::string isa_names() {
  std::string names;
  for (const KernelTable* table : available_kernels())
    names += (names.empty() ? "" : ", ") + std::string(table->name);
  return names;
}

}  // namespace

CpuWeight::CpuWeight(const WeightKernel& weight_kernel, int panel_width, std::int64_t rows,
                     std::int64_t cols, PackedBytes panels)
    : kernel_(&weight_kernel),
      rows_(rows),
      cols_(cols),
      num_panels_((rows + panel_width - 1) / panel_width),
      panel_bytes_(weight_kernel.panel_bytes(cols)),
      panels_(std::move(panels)) {}

CpuKvCache::CpuKvCache(const KvKernel& kernel, const KvCacheShape& shape, Buffer storage)
    : kernel_(&kernel),
      shape_(shape),
      k_bytes_(kernel.head_block_bytes(shape.head_dim)),
      head_stride_(block_stride(kernel, shape) / static_cast<std::size_t>(shape.kv_heads)),
      block_stride_(block_stride(kernel, shape)),
      storage_(std::move(storage)) {
  std::size_t offset = 0;
  for (int layer = 0; layer < shape.layers; ++layer) {
    layers_.push_back({shape.group(layer), offset});
    offset += block_stride_ * static_cast<std::size_t>(shape.blocks_of(shape.group(layer)));
  }
}

std::size_t CpuKvCache::block_stride(const KvKernel& kernel, const KvCacheShape& shape) {
  const std::size_t k = kernel.head_block_bytes(shape.head_dim);
  const std::size_t v = shape.latent ? 0 : kernel.head_block_bytes(shape.v_dim());
  return (k + v) * static_cast<std::size_t>(shape.kv_heads);
}

CpuBackend::CpuBackend(const KernelTable& kernels, ActivationPrecision activations, int threads,
                       bool pin)
    : kernels_(&kernels),
      activations_(activations),
      pool_(threads, pin),
      tile_buffers_(kActivationFormats),
      second_tile_buffers_(kActivationFormats) {}

Result<std::unique_ptr<CpuBackend>> CpuBackend::create(const BackendOptions& options) {
  const KernelTable* kernels =
      options.isa.empty() ? available_kernels().front() : find_kernels(options.isa);
  if (kernels == nullptr)
    return fail(
        fmt::format("instruction set '{}' (RIDGELINE_ISA) cannot run here; this CPU has: {}",
                    options.isa, isa_names()));
  if (options.threads < 0 || options.threads > kMaxThreads)
    return fail(fmt::format("{} threads: expected 1 to {}, or 0 for one per physical core",
                            options.threads, kMaxThreads));
  const int threads = options.threads > 0 ? options.threads : topology().default_threads();
  return std::unique_ptr<CpuBackend>(
      new CpuBackend(*kernels, options.activations, threads, options.pin));
}

Result<std::unique_ptr<Backend>> create_backend(const BackendOptions& options) {
  return CpuBackend::create(options);
}

const WeightKernel* CpuBackend::weight_kernel(MatrixType type) const {
  return find_weight_kernel(
      *kernels_, type.dtype,
      type.kept && is_int8(activations_) ? ActivationPrecision::kFast : activations_);
}

Result<std::size_t> CpuBackend::packed_bytes(MatrixType type, std::int64_t rows,
                                             std::int64_t cols) const {
  const WeightKernel* kernel = weight_kernel(type);
  if (kernel == nullptr)
    return fail(fmt::format("type {}, for which {} has no kernel", name(type.dtype), isa()));
  const auto panels = (rows + kernels_->panel_width - 1) / kernels_->panel_width;
  return static_cast<std::size_t>(panels) * kernel->panel_bytes(cols);
}

void CpuBackend::pack_rows(MatrixType type, std::int64_t rows, std::int64_t cols,
                           const std::byte* data, std::byte* packed) const {
  const WeightKernel& kernel = *weight_kernel(type);
  const std::int64_t width = kernels_->panel_width;
  const std::size_t stride = row_bytes(type.dtype, cols);
  for (; rows > 0; rows -= width) {
    kernel.pack_panel(data, stride, static_cast<int>(std::min(width, rows)), cols, packed);
    data += static_cast<std::size_t>(width) * stride;
    packed += kernel.panel_bytes(cols);
  }
}

std::uint64_t CpuBackend::packed_layout(MatrixType type) const {
  // What the kernels make of some bytes says how they pack; a number that someone must
  // remember to raise would not. Even and odd numbers of blocks, and a panel that is not
  // full.
  constexpr int kRowsOfLast = 5;
  const std::int64_t block = info(type.dtype).block_elements;
  std::uint64_t layout = 0;
  for (const std::int64_t cols : {std::int64_t{512}, block == 1 ? 33 : 3 * block}) {
    const std::int64_t rows = kernels_->panel_width + kRowsOfLast;
    std::vector<std::byte> data(static_cast<std::size_t>(rows) * row_bytes(type.dtype, cols));
    std::uint32_t state = 1;
    for (std::byte& b : data) {
      state = state * 1664525 + 1013904223;
      b = static_cast<std::byte>(state >> 24);
    }
    // 64-byte aligned, as panels are.
    std::vector<PackedLine> packed(*packed_bytes(type, rows, cols) / sizeof(PackedLine));
    pack_rows(type, rows, cols, data.data(), packed.front().bytes);
    layout = (layout << 32) | crc32c(std::as_bytes(std::span(packed)));
  }
  return layout;
}

Result<std::unique_ptr<PackedWeight>> CpuBackend::adopt_weight(MatrixType type, std::int64_t rows,
                                                               std::int64_t cols,
                                                               PackedBytes packed) {
  const WeightKernel& kernel = *weight_kernel(type);
  RIDGELINE_CHECK(packed.bytes.size() == *packed_bytes(type, rows, cols) &&
                  reinterpret_cast<std::uintptr_t>(packed.bytes.data()) % 64 == 0);
  if (std::ranges::find(used_formats_, kernel.activation) == used_formats_.end())
    used_formats_.push_back(kernel.activation);
  if (packed.input_order) {
    RIDGELINE_CHECK(static_cast<std::int64_t>(packed.input_order->size()) == cols);
    has_input_orders_ = true;
  }
  return std::make_unique<CpuWeight>(kernel, kernels_->panel_width, rows, cols, std::move(packed));
}

Result<std::unique_ptr<DeviceBuffer>> CpuBackend::allocate(std::size_t bytes, const char* what) {
  RIDGELINE_TRY(Buffer buffer, Buffer::allocate(bytes, what));
  return std::make_unique<HostBuffer>(std::move(buffer));
}

Result<std::unique_ptr<DeviceBuffer>> CpuBackend::upload_floats(std::span<const float> values) {
  RIDGELINE_TRY(auto buffer, allocate(values.size_bytes(), "a vector of the model"));
  std::memcpy(buffer->data(), values.data(), values.size_bytes());
  return buffer;
}

Result<std::size_t> CpuBackend::kv_block_bytes(const KvCacheShape& shape, int group) const {
  const KvKernel* kernel = find_kv_kernel(*kernels_, shape.dtype);
  if (kernel == nullptr)
    return fail(fmt::format("KV cache type {} is not supported; supported: F32, F16, BF16, Q8_0",
                            name(shape.dtype)));
  return CpuKvCache::block_stride(*kernel, shape) *
         static_cast<std::size_t>(shape.layers_of(group));
}

Result<std::unique_ptr<KvCache>> CpuBackend::make_kv_cache(const KvCacheShape& shape) {
  const auto groups = static_cast<int>(shape.windows().size());
  if (groups > kMaxKvGroups)
    return fail(
        fmt::format("the model's layers have {} different attention windows, expected {} "
                    "at most",
                    groups, kMaxKvGroups));
  std::size_t bytes = 0;
  for (int group = 0; group < groups; ++group) {
    RIDGELINE_TRY(const std::size_t block_bytes, kv_block_bytes(shape, group));
    bytes += block_bytes * static_cast<std::size_t>(shape.blocks_of(group));
  }
  RIDGELINE_TRY(Buffer storage, Buffer::allocate(bytes, "the KV cache (--kv-memory, --ctx-size)"));
  return std::make_unique<CpuKvCache>(*find_kv_kernel(*kernels_, shape.dtype), shape,
                                      std::move(storage));
}

void CpuBackend::copy_kv_block(KvCache& cache, int group, std::int32_t from, std::int32_t to) {
  auto& blocks = static_cast<CpuKvCache&>(cache);
  for (int layer = 0; layer < blocks.shape().layers; ++layer) {
    if (blocks.group(layer) != group) continue;
    std::byte* first = blocks.k(layer, 0);
    std::memcpy(first + blocks.block_stride() * static_cast<std::size_t>(to),
                first + blocks.block_stride() * static_cast<std::size_t>(from),
                blocks.block_stride());
  }
}

Status CpuBackend::reserve(const Limits& limits) {
  // What an earlier model asked for stays.
  const auto grow = [](Buffer& buffer, std::size_t bytes, const char* what) -> Status {
    if (bytes <= buffer.size()) return {};
    RIDGELINE_TRY(buffer, Buffer::allocate(bytes, what));
    return {};
  };
  for (ActivationFormat format : used_formats_) {
    const ActivationKernel& kernel = *find_activation_kernel(*kernels_, format);
    const auto bytes = [&](std::int64_t tiles, std::int64_t cols) {
      return static_cast<std::size_t>(tiles) * kernel.tile_bytes(kMaxTileRows, cols);
    };
    const std::int64_t tiles = (limits.max_rows + kMaxTileRows - 1) / kMaxTileRows;
    const std::int64_t expert_tiles =
        Segments::tiles_max(limits.max_rows, limits.experts_per_row, limits.experts);
    RIDGELINE_TRY_STATUS(
        grow(tile_buffers_[static_cast<std::size_t>(format)],
             std::max({bytes(tiles, limits.max_cols), bytes(expert_tiles, limits.expert_cols),
                       bytes(tiles * limits.product_heads, limits.product_head_cols)}),
             "packed activations"));
    if (!has_input_orders_) continue;
    RIDGELINE_TRY_STATUS(grow(second_tile_buffers_[static_cast<std::size_t>(format)],
                              bytes(tiles, limits.max_cols), "packed activations"));
  }
  segments_.reserve(limits.max_rows, limits.experts_per_row, limits.experts);
  RIDGELINE_TRY_STATUS(
      grow(expert_hidden_,
           static_cast<std::size_t>(limits.max_rows * limits.expert_hidden) * sizeof(float),
           "the experts' activations"));

  const HeadTiling heads(limits.query_heads, std::max(1, limits.kv_heads));
  const int tile_rows = kernels_->attention_tile_positions(heads.most) * heads.most;
  const int value_dim = limits.value_dim > 0 ? limits.value_dim : limits.head_dim;
  const std::size_t state_floats = kernels_->attention_state_floats(value_dim);
  const std::size_t attention_floats =
      2 * static_cast<std::size_t>(tile_rows) * state_floats +
      kernels_->attention_scratch_floats(limits.head_dim, value_dim, limits.latent);
  // A tile's rows are gathered there, and a row's experts are compared.
  const auto gather_floats = static_cast<std::size_t>(
      std::max({kMaxTileRows * limits.expert_cols, std::int64_t{4} * limits.experts,
                has_input_orders_ ? kMaxTileRows * limits.max_cols : 0}));
  scratch_floats_ = std::max({scratch_floats_, attention_floats,
                              static_cast<std::size_t>(kScratchTileFloats), gather_floats});
  scratch_.resize(static_cast<std::size_t>(pool_.size()));
  for (Buffer& buffer : scratch_)
    RIDGELINE_TRY_STATUS(grow(buffer, scratch_floats_ * sizeof(float), "scratch memory"));

  const auto spans =
      static_cast<std::size_t>((limits.max_positions + kAttentionSpan - 1) / kAttentionSpan);
  // Splitting is for few items only (attention.cpp), of one position each.
  const std::size_t split_items = static_cast<std::size_t>(kSplitItemsPerThread * pool_.size());
  return grow(
      span_states_,
      split_items * spans * static_cast<std::size_t>(heads.most) * state_floats * sizeof(float),
      "partial attention results");
}

std::size_t CpuBackend::workspace_bytes() const {
  std::size_t bytes = span_states_.size() + expert_hidden_.size();
  for (const Buffer& b : tile_buffers_) bytes += b.size();
  for (const Buffer& b : second_tile_buffers_) bytes += b.size();
  for (const Buffer& b : scratch_) bytes += b.size();
  return bytes;
}

}  // namespace ridgeline
