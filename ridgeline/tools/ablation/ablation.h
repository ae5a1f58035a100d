#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "ridgeline/tools/ablation/ladder.h"
#include "ridgeline/tools/ablation/one_stream.h"
#include "ridgeline/tools/ablation/quality.h"

// `ridgeline bench ablation`: what each optimisation is worth on this machine and this model.

namespace ridgeline {

struct AblationOptions {
  /// Threads, activations, rope: what all rows have in common.
  EngineOptions engine{};
  std::int64_t prompt_tokens = 448;
  std::int64_t output_tokens = 64;
  /// The longest that a sequence may become, which preallocation keeps for each; 0: 2048, or what
  /// the model was trained for if that is less.
  std::int64_t context = 0;
  int streams = 8;
  double seconds_per_row = 20;      ///< for one stream, and again for many
  std::vector<std::string> rows{};  ///< their ids; empty: all
  std::string text{};  ///< prompts, and what the perplexity is of; "": random tokens, and none
  std::int64_t eval_context = 256;
  std::int64_t eval_windows = 16;  ///< at most
  /// What is being done, now and then; may be empty.
  std::function<void(const std::string&)> progress{};
};

struct AblationRow {
  AblationConfig config;
  std::string isa;       ///< of its backend
  std::string left_out;  ///< why nothing was measured; else ""

  OneStream one;              ///< one request of prompt_tokens and output_tokens
  Figure throughput;          ///< output tokens per second of the streams' requests
  std::int64_t requests = 0;  ///< that were served for it; 0: it is extrapolated

  std::uint64_t weight_bytes = 0;
  std::uint64_t kv_bytes = 0;  ///< held by sequences at most
  std::uint64_t kv_pool_bytes = 0;
  /// Activations, drafters; without a cache, K and V of the layer at work too.
  std::uint64_t workspace_bytes = 0;
  /// Of what sequences held, the share that was used; none without a cache, nor of a prompt that
  /// there was no time for.
  std::optional<double> kv_utilisation;
  std::uint64_t total_bytes() const { return weight_bytes + kv_bytes + workspace_bytes; }

  std::optional<double> perplexity;
  std::optional<DivergenceResult> divergence;  ///< from the base; not of the base itself
  std::string no_quality;                      ///< why there is none, where a text was given

  /// Of tokens per second of one stream, and of the throughput of many.
  struct Factors {
    std::optional<double> before, baseline, honest_start;
  };
  Factors one_stream, many_streams;
};

struct AblationReport {
  std::string model;
  std::string cpu;
  int threads = 0;
  AblationOptions options;   ///< with the context that was used
  std::string quality_base;  ///< id of the row that the others' KL is from; "": none
  std::int64_t scored_tokens = 0;
  std::vector<AblationRow> rows;   ///< in the order of the table
  std::vector<std::string> notes;  ///< sentences beneath it

  const AblationRow* find(std::string_view id) const;
  /// The first and the last of the ladder that were measured; null if there is none.
  const AblationRow* first() const;
  const AblationRow* last() const;
};

/// Errors: a file that is quantized already; rows that there are not; a context that is too short
/// for prompt and output, or longer than the model's; a text too short for one window. What only a
/// row cannot do is its `left_out`.
Result<AblationReport> run_ablation(const std::string& path, const AblationOptions& options);

/// Everything, for scripts.
nlohmann::ordered_json to_json(const AblationReport& report);

}  // namespace ridgeline
