#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ridgeline/tools/doctor/memory_fit.h"
#include "ridgeline/tools/doctor/type_options.h"
#include "ridgeline/tools/predict_speed.h"

namespace ridgeline::doctor {

/// What to run for one way of using a model, and what to expect of it.
struct Scenario {
  std::string name{};     ///< "chat", "code", "batch", "embedded"
  std::string goal{};     ///< what was optimised
  std::string prepare{};  ///< a command that is needed once before; may be empty
  std::string command{};
  std::string reason{};  ///< what decided, with its figures
  double ttft_seconds = 0;
  double tokens_per_second = 0;  ///< of all streams together
  std::uint64_t memory_bytes = 0;
};

/// What scenarios are chosen from.
struct ScenarioInput {
  std::string path;             ///< of the file, for commands
  std::string model_arguments;  ///< that were given beside it, " -t 1"; may be empty
  const std::vector<TypeOption>* types = nullptr;
  const SpeedRates* rates = nullptr;    ///< with the KV cache in F16
  const LayerRate* q8_layer = nullptr;  ///< the same layer with the cache in Q8_0
  const MemoryFit* fit = nullptr;       ///< with F16, for the file as it is
  const MemoryFit* q8_fit = nullptr;    ///< with Q8_0
  const ModelConfig* config = nullptr;
  std::int64_t batch_tokens = 512;
  int threads = 1;
  bool has_chat_template = true;
};

/// Chat (time to the first token), code (tokens per second), batch (throughput), embedded
/// (memory). A scenario that nothing fits is left out.
std::vector<Scenario> scenarios(const ScenarioInput& input);

/// Throughput of streams that decode side by side.
struct StreamsPoint {
  int streams = 1;
  double tokens_per_second = 0;
  bool fits = false;
};
/// 1, 2, 4, ... streams at a depth of `depth` tokens, of which each may grow to `context`.
std::vector<StreamsPoint> throughput_by_streams(const ModelWork& work, const SpeedRates& rates,
                                                const MemoryFit& fit, std::int64_t depth,
                                                std::int64_t context, std::int64_t batch_tokens);
/// The fewest streams that fit and reach nine tenths of the best throughput; 1 at least.
int enough_streams(const std::vector<StreamsPoint>& points);

/// Down to a multiple of 1024, or below that of a block of the cache.
std::int64_t round_context(std::int64_t n);

}  // namespace ridgeline::doctor
