#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/engine/sampling_params.h"

namespace ridgeline::cli {

/// How tokens are chosen, under llama.cpp's names.
struct SamplingArguments {
  SamplingParams params;
  std::int64_t seed = -1;  ///< -1: another text each time
  std::vector<std::string> logit_bias;

  void add_to(CLI::App& command);
  Result<SamplingParams> sampling_params() const;
};

}  // namespace ridgeline::cli
