#include "ridgeline/tools/ablation/ladder.h"

#include "ridgeline/kernels/kernel_table.h"
#include "ridgeline/tools/ablation/no_cache_backend.h"
#include "ridgeline/tools/ablation/scalar_backend.h"
#include "ridgeline/tools/ablation/score_matrix_backend.h"

namespace ridgeline {
namespace {

Result<std::unique_ptr<Backend>> make_operations(AblationConfig::Operations operations,
                                                 const BackendOptions& options) {
  switch (operations) {
    case AblationConfig::Operations::kScalar:
      return ScalarBackend::create(options);
    case AblationConfig::Operations::kScoreMatrix:
      return ScoreMatrixBackend::create(options);
    case AblationConfig::Operations::kTiles:
      break;
  }
  return create_backend(options);
}

}  // namespace

EngineOptions AblationConfig::engine_options(const EngineOptions& common) const {
  EngineOptions options = common;
  options.backend.isa = isa;
  options.quantize = quantize;
  options.kv_type = DType::kF16;
  // As `serve` has it: steps are budgeted by time, and so are drafts.
  options.measure_cost = policy == ServingPolicy::kContinuous;
  options.speculation.lookup = looks_up_drafts;
  // A forward pass without a cache takes the whole sequence.
  if (!cache) options.batch_tokens = options.context;
  options.make_backend = [kind = operations, caches = cache](
                             const BackendOptions& wanted) -> Result<std::unique_ptr<Backend>> {
    RIDGELINE_TRY(std::unique_ptr<Backend> backend, make_operations(kind, wanted));
    if (!caches) return std::make_unique<NoCacheBackend>(std::move(backend));
    return backend;
  };
  return options;
}

std::vector<AblationConfig> ablation_ladder(DType file_type, const std::string& best_isa) {
  using Operations = AblationConfig::Operations;
  using Role = AblationConfig::Role;
  std::vector<AblationConfig> rows;
  AblationConfig c;
  const auto add = [&](const char* id, std::string title, std::string switched) {
    c.id = id;
    c.title = std::move(title);
    c.switched = std::move(switched);
    rows.push_back(c);
  };
  const bool is_f32 = file_type == DType::kF32;
  if (is_f32) c.quantize = DType::kF16;
  const std::string half = is_f32 ? "F16" : std::string(name(file_type));

  c.operations = Operations::kScalar;
  c.cache = false;
  c.policy = ServingPolicy::kRecompute;
  add("baseline", "baseline: 16 bits, scalar, no KV cache",
      half + " weights, one multiplication after the other, the whole sequence for every token");
  c.cache = true;
  c.policy = ServingPolicy::kOneAtATime;
  add("kv-cache", "+ KV cache", "F16, preallocated for the context; one request at a time");

  {
    const AblationConfig before = c;
    c.operations = Operations::kScoreMatrix;
    c.isa = best_isa;
    c.role = Role::kHonestStart;
    add("honest-start", "honest start: 16 bits, KV cache, SIMD",
        half + " weights, RIDGELINE_ISA=" + best_isa + ", attention with a score matrix");
    c = before;
  }

  c.quantize = DType::kQ8_0;
  add("int8", "+ INT8 weights", "--quantize q8_0");
  c.operations = Operations::kScoreMatrix;
  if (best_isa != "avx2" && find_kernels("avx2") != nullptr) {
    c.isa = "avx2";
    add("avx2", "+ SIMD: AVX2", "RIDGELINE_ISA=avx2");
  }
  c.isa = best_isa;
  add("simd", "+ SIMD: " + best_isa, "RIDGELINE_ISA=" + best_isa);
  c.operations = Operations::kTiles;
  add("flash", "+ attention in tiles", "FlashAttention's order in place of a score matrix");
  c.quantize = DType::kQ4_0;
  add("int4", "+ INT4 in groups", "--quantize q4_0, groups of 32");
  c.kv = KvPolicy::kPaged;
  add("paged", "+ paged KV", "blocks of 16 tokens in place of the whole context");

  {
    const AblationConfig before = c;
    c.kv = KvPolicy::kPreallocated;
    c.policy = ServingPolicy::kStaticBatches;
    c.role = Role::kComparison;
    add("static-batches", "beside: static batches, padded",
        "prompts padded to the longest, each batch to its end, KV preallocated");
    c = before;
  }

  c.policy = ServingPolicy::kContinuous;
  add("continuous", "+ continuous batching", "serve --parallel");
  c.looks_up_drafts = true;
  add("speculation", "+ speculation", "--speculate lookup");
  return rows;
}

}  // namespace ridgeline
