#pragma once

#include <nlohmann/json_fwd.hpp>

#include "ridgeline/base/result.h"
#include "ridgeline/text/tokenizer_pipeline.h"

namespace ridgeline {

/// tokenizer.json's "post_processor", of which one text needs only what stands before and
/// behind it: sets that in `ends`. Ids are below `vocab_size`. Errors: a type that is not
/// supported (the sentence lists those that are), a template that has the text not once.
Status read_hf_post_processor(const nlohmann::json& definition, std::size_t vocab_size,
                              TokenizerPipeline::Ends& ends);

}  // namespace ridgeline
