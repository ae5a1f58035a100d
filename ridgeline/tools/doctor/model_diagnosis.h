#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/engine/engine.h"
#include "ridgeline/tools/bench_workload.h"
#include "ridgeline/tools/doctor/memory_fit.h"
#include "ridgeline/tools/doctor/scenarios.h"
#include "ridgeline/tools/doctor/type_options.h"
#include "ridgeline/tools/predict_speed.h"

namespace ridgeline::doctor {

struct Prediction {
  Workload work;
  double seconds = 0;
  double tokens_per_second() const { return static_cast<double>(work.total_tokens()) / seconds; }
};

/// A prediction held against what then happened.
struct SpeedCheck {
  Workload work;
  int pieces = 1;  ///< as often it was run
  /// Of what the rates say, at the bandwidth of memory beside the measurement.
  double predicted_tokens_per_second = 0;
  double measured_tokens_per_second = 0;
  double read_bytes_per_second = 0;  ///< beside it, on average; 0: not measured
  double error() const { return predicted_tokens_per_second / measured_tokens_per_second - 1; }
};

struct ModelDiagnosis {
  std::string path, architecture, name, types;
  std::uint64_t file_bytes = 0;
  std::int64_t parameters = 0;
  ModelConfig config;
  DType kv_type = DType::kF16;
  std::int64_t batch_tokens = 0;

  MemoryFit fit;             ///< with kv_type
  MemoryFit small_fit;       ///< with Q8_0
  std::int64_t context = 0;  ///< of one sequence, as asked for with -c or as long as one fits
  std::vector<std::pair<std::int64_t, int>> streams;  ///< contexts, and how many of each fit
  std::string cannot_run;                             ///< why it does not fit; empty: it does

  // Absent for encoders, and where there is no memory to measure with.
  std::string no_prediction;         ///< why
  double read_bytes_per_second = 0;  ///< beside the rates; 0: the weights stay in a cache
  std::optional<SpeedRates> rates;
  Ceilings ceilings;      ///< of the machine, for the rates' shares
  LayerRate small_layer;  ///< with the cache in Q8_0
  std::vector<TypeOption> type_options;
  std::vector<Prediction> prompts;  ///< times to first tokens
  std::vector<Prediction> decodes;  ///< of one token, at several depths
  std::vector<StreamsPoint> batches;
  std::vector<Scenario> scenarios;

  std::vector<SpeedCheck> checks;  ///< empty: not measured
  std::string no_check;            ///< why
  MemoryUse measured_memory;       ///< of the loaded model; zeros if it was not
};

/// Everything that can be said before the model is loaded; its kernels are measured on made-up
/// weights. `ceilings`: of the machine, all threads. `arguments`: what -m was given beside it, for
/// commands. Errors: what cannot be opened, or is no model that Ridgeline runs.
Result<ModelDiagnosis> diagnose_model(const std::string& path, const EngineOptions& options,
                                      const Ceilings& ceilings, const std::string& arguments);

/// Loads the model, lets it read a prompt and decode for some seconds, and fills in
/// diagnosis.checks. Errors: those of loading.
Status check_predictions(ModelDiagnosis& diagnosis, const EngineOptions& options);

}  // namespace ridgeline::doctor
