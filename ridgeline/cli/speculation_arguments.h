#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/engine/speculation/speculation_options.h"

namespace ridgeline::cli {

/// The arguments of commands that generate text: who drafts, and how much.
struct SpeculationArguments {
  /// Of "lookup" and "recent"; "off" alone: none.
  std::vector<std::string> drafters;
  std::string draft_model;
  int max_draft = SpeculationOptions{}.max_draft;
  std::string rule = "exact";

  /// What `drafters` holds beforehand is the command's default.
  void add_to(CLI::App& command);
  /// Errors: arguments that say nothing together; a model that is not found.
  Result<SpeculationOptions> options() const;

 private:
  const CLI::Option* max_option_ = nullptr;
};

}  // namespace ridgeline::cli
