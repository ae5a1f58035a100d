#pragma once

#include <string>

#include "ridgeline/base/result.h"
#include "ridgeline/format/checkpoint.h"

namespace ridgeline {

/// A folder as transformers saves one: config.json and model.safetensors, or its shards with
/// model.safetensors.index.json. Metadata and tensors come out under GGUF's names
/// (hf_config.h, hf_tensors.h); the tokenizer's files are left to who reads vocabularies.
/// Errors name the file: missing, a shard that the index promises and that is not there,
/// weights in another format.
Result<Checkpoint> open_hugging_face(const std::string& folder);

}  // namespace ridgeline
