#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/engine/sampling_params.h"
#include "ridgeline/model/generation_defaults.h"

namespace ridgeline::cli {

/// How tokens are chosen, under llama.cpp's names.
struct SamplingArguments {
  SamplingParams params;
  std::int64_t seed = -1;  ///< -1: another text each time
  std::vector<std::string> logit_bias;

  void add_to(CLI::App& command);
  /// Whether they can be used, before a model is loaded for them.
  Status check() const;
  /// Takes what the model's authors advise where no flag says otherwise.
  void adopt(const GenerationDefaults& defaults);
  Result<SamplingParams> sampling_params() const;

 private:
  CLI::App* command_ = nullptr;
};

}  // namespace ridgeline::cli
