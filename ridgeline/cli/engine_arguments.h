#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/cli/speculation_arguments.h"
#include "ridgeline/engine/engine.h"

namespace ridgeline::cli {

/// What --activations takes.
std::vector<std::string> activation_names();

/// The arguments of every command that loads a model, under llama.cpp's names where it
/// has one.
struct EngineArguments {
  std::string quantize;
  std::string model;  ///< "": the demo model
  std::int64_t context = 0;
  int threads = 0;
  std::string kv_type_k = "f16";
  std::string kv_type_v;  ///< empty: K's
  std::string kv_memory;
  std::int64_t batch_tokens = 512;
  std::string activations = "fast";
  bool no_pin = false;
  bool embeds = false;  ///< EngineOptions::embeds
  // EngineOptions' of these names, where a command has flags of its own for them.
  bool prefix_cache = false, measure_cost = false;
  double kv_share = 0, prefill_share = EngineOptions{}.prefill_share;
  RopeOverride rope{};
  SpeculationArguments speculation{};  ///< its flags are added by commands that generate
  std::string packed_cache;            ///< a folder
  bool packed_cache_verify = false;
  PackedCacheOptions::Memory packed_cache_memory = PackedCacheOptions::Memory::kAuto;

  /// `with_context`: the command takes -c, --ctx-size itself otherwise.
  void add_to(CLI::App& command, bool model_required, bool with_context = true);

  /// The file to load: the one given, downloaded if it is one of the hub, or the demo model
  /// that ships with the source.
  Result<std::string> model_path() const;
  Result<EngineOptions> options() const;
  /// Loads with a progress bar on a terminal; says on stderr what the packed cache did.
  Result<std::unique_ptr<Engine>> load(int max_sequences = 1) const;
};

/// "512M", "2G", "1.5GiB", "1048576": bytes, in powers of 1024. `flag` is for errors.
Result<std::uint64_t> parse_bytes(const std::string& text, const char* flag);
/// A whole file, or standard input for "-".
Result<std::string> read_text(const std::string& path);

}  // namespace ridgeline::cli
