#pragma once

#include <string>

#include "ridgeline/base/result.h"
#include "ridgeline/tools/hub/fetch_model.h"

namespace ridgeline::cli {

/// What -m takes, for its help text.
inline constexpr const char* kModelHelp =
    "GGUF file, Hugging Face folder, or hf:owner/repo[:file or quantization]";

/// The path that -m means: itself, or, for hf:..., that of the model in the cache, which is
/// downloaded first where it is not there yet. Asks the hub once for each name.
Result<std::string> resolve_model(const std::string& argument);

/// Runs a fetch with its progress on stderr, and Ctrl-C as its stop.
Result<std::string> fetch_with_progress(const hub::HubReference& reference,
                                        hub::HubSettings settings);

}  // namespace ridgeline::cli
