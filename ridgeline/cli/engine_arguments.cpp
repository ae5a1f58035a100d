#include "ridgeline/cli/engine_arguments.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>

#include "ridgeline/cli/model_argument.h"
#include "ridgeline/cli/progress.h"

namespace ridgeline::cli {
namespace {

constexpr const char* kDemoModel = "fireside-q8_0.gguf";

/// Beside an installed program (share/ridgeline), in the source tree, or where
/// RIDGELINE_DEMO_MODEL says.
Result<std::string> demo_model_path() {
  namespace fs = std::filesystem;
  if (const char* path = std::getenv("RIDGELINE_DEMO_MODEL")) return std::string(path);
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const fs::path& path : {program / "../share/ridgeline" / kDemoModel,
                               fs::path(RIDGELINE_SOURCE_MODELS) / kDemoModel})
    if (fs::exists(path, error)) return path.lexically_normal().string();
  return fail(
      fmt::format("no model given (-m FILE), and the demo model {} is not where it was "
                  "installed; RIDGELINE_DEMO_MODEL can name it",
                  kDemoModel));
}

/// "f32, f16, ...", every type there is.
std::string type_names() {
  std::string names;
  for (const DTypeInfo& type : all_dtypes())
    names += (names.empty() ? "" : ", ") + std::string(type.name);
  return names;
}

void print(const PackedCacheReport& report) {
  using State = PackedCacheReport::State;
  if (!report.warning.empty()) fmt::print(stderr, "ridgeline: warning: {}\n", report.warning);
  if (report.state == State::kUsed || report.state == State::kWritten)
    fmt::print(stderr, "packed cache: {} {} ({:.0f} MiB{}{})\n",
               report.state == State::kUsed ? "using" : "wrote", report.path,
               static_cast<double>(report.bytes) / (1 << 20),
               report.shared ? ", shared" : ", copied",
               report.verified && report.state == State::kUsed ? ", verified" : "");
}

}  // namespace

std::vector<std::string> activation_names() {
  std::vector<std::string> names;
  for (const ActivationPrecision p : kActivationPrecisions) names.emplace_back(name(p));
  return names;
}

void EngineArguments::add_to(CLI::App& command, bool model_required, bool with_context) {
  auto* model_option = command.add_option("-m,--model", model, kModelHelp);
  if (model_required)
    model_option->required();
  else
    model_option->description(
        fmt::format("{} (default: the demo model that ships with the source)", kModelHelp));
  if (with_context)
    command
        .add_option("-c,--ctx-size", context,
                    "tokens of context; 0: the model's, as far as --kv-memory or half of the free "
                    "memory goes")
        ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 30));
  command.add_option("-t,--threads", threads, "threads (default: physical cores)")
      ->check(CLI::Range(1, 1024));
  command.add_option("--cache-type-k", kv_type_k, "-ctk: KV cache type of K: f32, f16, bf16, q8_0")
      ->capture_default_str();
  command.add_option("--cache-type-v", kv_type_v,
                     "-ctv: KV cache type of V, which must be K's (default: K's)");
  command.add_option("--kv-memory", kv_memory,
                     "bytes of KV cache, as 512M or 2G (default: by context)");
  command.add_option("--batch-tokens", batch_tokens, "prompt tokens computed at once")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 16))
      ->capture_default_str();
  command
      .add_option("--activations", activations,
                  "fast: 8 bit beside quantized weights, BF16 beside BF16; f32: exact; int8: F16 "
                  "and BF16 weights in 8 bits, too; llm.int8: likewise, with outliers in 16")
      ->check(CLI::IsMember(activation_names()))
      ->capture_default_str();
  command.add_option("--quantize", quantize,
                     "round F32, F16 or BF16 weights to this type as they are loaded, as q8_0");
  command
      .add_option("--rope-scaling", rope.scaling,
                  "how positions are stretched, instead of as the file says: none, linear, yarn")
      ->check(CLI::IsMember({"none", "linear", "yarn"}));
  command.add_option("--rope-scale", rope.factor, "to a context so many times as long")
      ->check(CLI::Range(1.0, 1024.0));
  command.add_option("--rope-freq-base", rope.base, "base of the rotation's frequencies")
      ->check(CLI::Range(1.5, 1e12));
  command
      .add_option("--yarn-orig-ctx", rope.original_context,
                  "context of the first training, which YaRN stretches")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 30));
  command.add_flag("--no-pin", no_pin, "do not bind threads to CPUs");
  command
      .add_option("--packed-cache", packed_cache,
                  "folder of repacked weights: written at the first start, mapped by later ones")
      ->envname("RIDGELINE_PACKED_CACHE");
  using Memory = PackedCacheOptions::Memory;
  static const std::map<std::string, Memory> memories{
      {"auto", Memory::kAuto}, {"shared", Memory::kShared}, {"own", Memory::kOwn}};
  command
      .add_option("--packed-cache-memory", packed_cache_memory,
                  "shared: use the file's pages, with other processes; own: copy them; auto: "
                  "copy where the file is in small pages, which decode slower")
      ->transform(CLI::Transformer(memories));
  command.add_flag("--packed-cache-verify", packed_cache_verify,
                   "check all of the packed weights at this start, not only if files changed");
}

Result<std::string> EngineArguments::model_path() const {
  return model.empty() ? demo_model_path() : resolve_model(model);
}

Result<EngineOptions> EngineArguments::options() const {
  EngineOptions o;
  o.backend.threads = threads;
  if (const char* isa = std::getenv("RIDGELINE_ISA")) o.backend.isa = isa;
  o.backend.activations =
      activation_precision_from_name(activations).value_or(ActivationPrecision::kFast);
  o.backend.pin = !no_pin;
  o.context = context;
  o.embeds = embeds;
  o.prefix_cache = prefix_cache;
  o.measure_cost = measure_cost;
  o.kv_share = kv_share;
  o.prefill_share = prefill_share;
  o.rope = rope;
  o.batch_tokens = batch_tokens;
  const auto kv_type = dtype_from_name(kv_type_k);
  constexpr std::array kKvTypes{DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0};
  if (!kv_type || std::ranges::find(kKvTypes, *kv_type) == kKvTypes.end())
    return fail(fmt::format("--cache-type-k {}: expected f32, f16, bf16 or q8_0", kv_type_k));
  if (!kv_type_v.empty() && dtype_from_name(kv_type_v) != kv_type)
    return fail(
        fmt::format("--cache-type-v {}: expected the same as --cache-type-k ({}); K and V of "
                    "different types are not supported",
                    kv_type_v, kv_type_k));
  o.kv_type = *kv_type;
  if (!quantize.empty()) {
    o.quantize = dtype_from_name(quantize);
    if (!o.quantize)
      return fail(
          fmt::format("--quantize {}: is no type; expected one of {}", quantize, type_names()));
  }
  RIDGELINE_TRY(o.speculation, speculation.options());
  o.packed_cache = {packed_cache, packed_cache_verify, packed_cache_memory};
  if (!kv_memory.empty()) {
    RIDGELINE_TRY(o.kv_memory_bytes, parse_bytes(kv_memory, "--kv-memory"));
  }
  return o;
}

Result<std::unique_ptr<Engine>> EngineArguments::load(int max_sequences) const {
  RIDGELINE_TRY(const std::string path, model_path());
  RIDGELINE_TRY(EngineOptions o, options());
  o.max_sequences = max_sequences;
  ProgressBar bar("loading");
  o.load_progress = [&bar](double fraction) { bar.update(fraction); };
  RIDGELINE_TRY(std::unique_ptr<Engine> engine, Engine::load(path, o));
  bar.clear();
  print(engine->model().packed_cache());
  return engine;
}

Result<std::uint64_t> parse_bytes(const std::string& text, const char* flag) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  std::string unit(end, text.data() + text.size());
  for (char& c : unit) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  int power = -1;
  for (int i = 0; i < 5; ++i) {
    const std::string letter = i == 0 ? "" : std::string(1, " KMGT"[i]);
    if (unit == letter || unit == letter + "B" || (i > 0 && unit == letter + "IB")) power = i;
  }
  const double bytes = value * std::pow(1024.0, power);
  if (error != std::errc{} || power < 0 || !(bytes >= 1.0) || bytes > 1e18)
    return fail(fmt::format("{} {}: expected a size such as 512M or 2G", flag, text));
  return static_cast<std::uint64_t>(bytes);
}

Result<std::string> read_text(const std::string& path) {
  std::FILE* file = path == "-" ? stdin : std::fopen(path.c_str(), "rbe");
  if (file == nullptr) return fail(fmt::format("{}: {}", path, std::strerror(errno)));
  std::string text;
  char buffer[1 << 16];
  while (const std::size_t n = std::fread(buffer, 1, sizeof buffer, file)) text.append(buffer, n);
  const bool failed = std::ferror(file) != 0;
  const int error = errno;
  if (file != stdin) std::fclose(file);
  if (failed) return fail(fmt::format("{}: {}", path, std::strerror(error)));
  return text;
}

}  // namespace ridgeline::cli
