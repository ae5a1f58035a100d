#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/text/tokenizer.h"

namespace ridgeline {

/// A Hugging Face folder's tokenizer.json, as the `tokenizers` library reads it.
/// `tokenizer_config_json` may be empty; it names the special tokens, and where it has
/// add_bos_token or add_eos_token, that wins over the post-processor. A token that it names
/// but that no vocabulary has counts as none. `end_ids`: what generation_config.json says
/// ends a generation, besides what the vocabulary tells. Errors name the file, the part
/// and its type, and what is supported.
Result<std::unique_ptr<Tokenizer>> load_hf_tokenizer(std::string_view tokenizer_json,
                                                     std::string_view tokenizer_config_json,
                                                     const std::string& path_for_errors,
                                                     std::vector<TokenId> end_ids = {});

}  // namespace ridgeline
