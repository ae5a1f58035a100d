#include "ridgeline/tools/inspect.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <nlohmann/json.hpp>

#include "ridgeline/cli/commands.h"
#include "ridgeline/cli/model_argument.h"

namespace ridgeline::cli {
namespace {

using Json = nlohmann::ordered_json;

/// KV cache types whose sizes are shown; BF16 takes what F16 takes.
constexpr std::array kKvTypes{DType::kF32, DType::kF16, DType::kQ8_0};

struct InspectArguments {
  std::string file;
  std::int64_t context = 0;  ///< 0: the model's
  bool tensors = false;
  bool json = false;
};

Json tensor_json(const TensorView& t) {
  return {{"name", t.name}, {"type", name(t.dtype)}, {"shape", t.shape}, {"bytes", t.bytes}};
}

Json to_json(const FileReport& r, const InspectArguments& arguments) {
  Json json{{"file", r.path},
            {"file_bytes", r.file_bytes},
            {"format", r.format},
            {"architecture", r.architecture},
            {"parameters", r.parameters},
            {"weight_bytes", r.tensor_bytes}};
  for (const auto& [type, total] : r.types)
    json["types"][type] = {
        {"tensors", total.tensors}, {"elements", total.elements}, {"bytes", total.bytes}};
  json["tokenizer"] = {
      {"model", r.tokenizer}, {"pre", r.pre_tokenizer}, {"tokens", r.vocab_tokens}};
  json["chat_template"] = r.chat_template;
  if (r.config) {
    const ModelConfig& c = *r.config;
    const std::int64_t context = arguments.context > 0 ? arguments.context : c.context_length;
    json["config"] = {{"name", c.name},
                      {"layers", c.layers},
                      {"hidden_size", c.hidden_size},
                      {"num_heads", c.num_heads},
                      {"num_kv_heads", c.num_kv_heads},
                      {"head_dim", c.head_dim},
                      {"ffn_size", c.ffn_size},
                      {"vocab_size", c.vocab_size},
                      {"context_length", c.context_length},
                      {"rope_base", c.rope.base}};
    for (DType type : kKvTypes)
      json["kv"][std::string(name(type))] = {{"bytes_per_token", r.kv_bytes(type, 1)},
                                             {"context", context},
                                             {"bytes", r.kv_bytes(type, context)}};
  } else {
    json["unsupported"] = r.unsupported;
  }
  if (arguments.tensors)
    for (const TensorView& t : r.tensors) json["tensors"].push_back(tensor_json(t));
  if (r.config && r.config->experts.count > 0) {
    const ExpertConfig& e = r.config->experts;
    json["config"]["experts"] = {{"count", e.count},
                                 {"per_token", e.routing.chosen},
                                 {"ffn_size", e.ffn_size},
                                 {"shared_ffn_size", e.shared_ffn_size}};
  }
  return json;
}

double mebibytes(std::size_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

/// "2", or "34/32" where a block of elements has so many bytes.
std::string element_bytes(DType type) {
  const DTypeInfo& t = info(type);
  return t.block_elements == 1 ? fmt::format("{}", t.block_bytes)
                               : fmt::format("{}/{}", t.block_bytes, t.block_elements);
}

/// What the elements of KV cache per token multiply from: "2 x 16 layers x 8 KV heads x 64".
std::string kv_factors(const ModelConfig& c) {
  if (c.latent_kv) return fmt::format("{} layers x latent of {}", c.layers, c.head_dim);
  if (c.v_dim() != c.head_dim)
    return fmt::format("{} layers x {} KV heads x ({} + {})", c.layers, c.num_kv_heads, c.head_dim,
                       c.v_dim());
  return fmt::format("2 x {} layers x {} KV heads x {}", c.layers, c.num_kv_heads, c.head_dim);
}

/// "13 layers of 1024 positions, 13 of all"; empty where all layers see all.
std::string window_counts(const ModelConfig& c) {
  const KvCacheShape shape = c.kv_shape(DType::kF16);
  const std::vector<std::int64_t> windows = shape.windows();
  if (windows.size() == 1 && windows[0] == 0) return "";
  std::string text;
  for (int group = 0; group < static_cast<int>(windows.size()); ++group) {
    const std::int64_t window = windows[static_cast<std::size_t>(group)];
    text += fmt::format("{}{}{} of {}", text.empty() ? "" : ", ", shape.layers_of(group),
                        text.empty() ? " layers" : "",
                        window > 0 ? fmt::format("{} positions", window) : "all");
  }
  return text;
}

void print(const FileReport& r, const InspectArguments& arguments) {
  fmt::print("file            {} ({}, {:.1f} MiB)\n", r.path, r.format, mebibytes(r.file_bytes));
  fmt::print("architecture    {}\n", r.architecture);
  if (r.config && !r.config->name.empty()) fmt::print("name            {}\n", r.config->name);
  fmt::print("parameters      {:.2f} M\n", static_cast<double>(r.parameters) * 1e-6);
  fmt::print("weights         {:.1f} MiB, {:.2f} bits each\n", mebibytes(r.tensor_bytes),
             8 * static_cast<double>(r.tensor_bytes) /
                 static_cast<double>(std::max<std::int64_t>(1, r.parameters)));
  for (const auto& [type, total] : r.types)
    fmt::print("  {:<8} {:>5} tensors  {:>10.2f} M elements  {:>9.1f} MiB\n", type, total.tensors,
               static_cast<double>(total.elements) * 1e-6, mebibytes(total.bytes));
  fmt::print("tokenizer       {}{}{}, {} tokens\n", r.tokenizer,
             r.pre_tokenizer.empty() ? "" : " / ", r.pre_tokenizer, r.vocab_tokens);
  fmt::print("chat template   {}\n", r.chat_template ? "yes" : "no");
  if (r.config) {
    const ModelConfig& c = *r.config;
    const std::int64_t context = arguments.context > 0 ? arguments.context : c.context_length;
    fmt::print(
        "shape           {} layers, width {}, {} heads, {} KV heads of {}, FFN {}, vocabulary {}\n",
        c.layers, c.hidden_size, c.num_heads, c.num_kv_heads, c.head_dim, c.ffn_size, c.vocab_size);
    if (const ExpertConfig& e = c.experts; e.count > 0)
      fmt::print("experts         {} a layer, {} for each token, FFN {}{}\n", e.count,
                 e.routing.chosen, e.ffn_size,
                 e.shared_ffn_size > 0 ? fmt::format("; shared ones {}", e.shared_ffn_size) : "");
    fmt::print("context         trained for {}; rope base {}\n", c.context_length, c.rope.base);
    for (DType type : kKvTypes)
      fmt::print("{:<15} {} x {} B = {} B per token, {:.1f} MiB at {} tokens\n",
                 fmt::format("KV cache, {}", name(type)), kv_factors(c), element_bytes(type),
                 r.kv_bytes(type, 1),
                 mebibytes(static_cast<std::size_t>(r.kv_bytes(type, context))), context);
    if (const std::string windows = window_counts(c); !windows.empty())
      fmt::print("windows         {}\n", windows);
  } else {
    fmt::print("not runnable    {}\n", r.unsupported);
  }
  if (arguments.tensors)
    for (const TensorView& t : r.tensors)
      fmt::print("  {:<32} {:<6} {}\n", t.name, name(t.dtype), Json(t.shape).dump());
}

Status inspect(const InspectArguments& arguments) {
  RIDGELINE_TRY(const std::string path, resolve_model(arguments.file));
  RIDGELINE_TRY(const FileReport report, inspect_file(path));
  if (arguments.json)
    fmt::print("{}\n",
               to_json(report, arguments).dump(2, ' ', false, Json::error_handler_t::replace));
  else
    print(report, arguments);
  return {};
}

}  // namespace

void add_inspect(CLI::App& program, Action& action) {
  auto arguments = std::make_shared<InspectArguments>();
  CLI::App* command =
      program.add_subcommand("inspect", "what is in a model file, and what it needs");
  command->add_option("FILE,-m,--model", arguments->file, kModelHelp)->required();
  command
      ->add_option("-c,--ctx-size", arguments->context, "tokens of context for the KV cache's size")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 30));
  command->add_flag("--tensors", arguments->tensors, "list every tensor");
  command->add_flag("--json", arguments->json, "one JSON object");
  command->callback([arguments, &action] { action = [arguments] { return inspect(*arguments); }; });
}

}  // namespace ridgeline::cli
