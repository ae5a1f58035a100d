#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/tools/hub/repo_listing.h"

namespace ridgeline::hub {

/// What of a repository makes a model.
struct ModelChoice {
  std::vector<RepoFile> files;
  std::string entry;  ///< the file to open, in the repository; "": the folder of all
};

/// The selector's file or quantization; "safetensors": the folder; "": GGUF files by
/// preference (Q4_K_M first), else the folder. All shards of a split file come together.
/// Errors: nothing fits, or more than one does; the sentence lists what there is.
Result<ModelChoice> choose_files(const RepoListing& listing, std::string_view selector);

/// "Q4_K_M" of "llama-3.2-1b-instruct-q4_k_m.gguf", in upper case, with "UD-" where the name
/// has it; "" where there is none.
std::string quantization_of(std::string_view path);

/// "4.9 GB", in powers of 1000 as the hub prints them.
std::string size_text(std::uint64_t bytes);

}  // namespace ridgeline::hub
