#include "ridgeline/tools/doctor/model_diagnosis.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ridgeline/model/model_file.h"
#include "ridgeline/platform/topology.h"
#include "ridgeline/tools/doctor/finding.h"
#include "ridgeline/tools/doctor/model_rates.h"

namespace ridgeline::doctor {
namespace {

Result<MemoryFit> fit_of(const ModelDiagnosis& d, const Backend& backend,
                         std::span<const TensorView> tensors, const EngineOptions& options,
                         DType kv_type) {
  MemoryFit fit;
  fit.available_bytes = memory_info().available_bytes;
  RIDGELINE_TRY(fit.weight_bytes, packed_weight_bytes(backend, tensors));
  fit.workspace_bytes =
      workspace_bytes(d.config, options.batch_tokens, backend.threads(), options.max_sequences);
  RIDGELINE_TRY(fit.kv, KvSizes::of(backend, d.config.kv_shape(kv_type), options.batch_tokens));
  fit.trained_context = d.config.context_length;
  return fit;
}

/// Why it does not fit; empty if it does.
std::string misfit(const MemoryFit& fit, std::int64_t context) {
  const std::int64_t wanted =
      context > 0 ? context : std::min(MemoryFit::kLeastContext, fit.trained_context);
  const std::uint64_t needed = fit.bytes(wanted, 1);
  if (needed <= fit.available_bytes) return {};
  const auto text = [](std::uint64_t bytes) { return bytes_text(static_cast<double>(bytes)); };
  return fmt::format(
      "it needs {} of memory ({} of weights, {} of KV cache for a context of {}, {} for the rest), "
      "but {} are free",
      text(needed), text(fit.weight_bytes), text(fit.kv.bytes(wanted)), wanted,
      text(needed - fit.weight_bytes - fit.kv.bytes(wanted)), text(fit.available_bytes));
}

void fill_streams(ModelDiagnosis& d) {
  constexpr std::array<std::int64_t, 7> kContexts{1024, 2048, 4096, 8192, 16384, 32768, 131072};
  for (const std::int64_t context : kContexts)
    if (context <= d.fit.trained_context) d.streams.emplace_back(context, d.fit.streams(context));
  if (d.streams.empty() || d.streams.back().first != d.fit.trained_context)
    d.streams.emplace_back(d.fit.trained_context, d.fit.streams(d.fit.trained_context));
}

void predict_all(ModelDiagnosis& d, const SpeedRates& rates) {
  const ModelWork& work = d.type_options.front().work;
  const std::int64_t context = std::max<std::int64_t>(d.context, 1);
  for (const std::int64_t tokens : {128, 512, 2048, 8192}) {
    if (tokens > context) continue;
    const Workload prompt{Workload::Kind::kPrefill, tokens, 0, 1};
    d.prompts.push_back({prompt, predicted_seconds(work, rates, prompt, d.batch_tokens)});
  }
  for (const std::int64_t depth : {0, 512, 2048, 8192, 32768}) {
    if (depth >= context) continue;
    const Workload token{Workload::Kind::kDecode, 1, depth, 1};
    d.decodes.push_back({token, predicted_seconds(work, rates, token, d.batch_tokens)});
  }
  const std::int64_t batch_context = std::min<std::int64_t>(2048, d.fit.trained_context);
  d.batches =
      throughput_by_streams(work, rates, d.fit, std::min<std::int64_t>(512, batch_context / 2),
                            batch_context, d.batch_tokens);
}

/// Rates of everything, and what follows from them.
Status predict_speeds(ModelDiagnosis& d, const ModelFile& file, const EngineOptions& options,
                      const std::string& arguments) {
  const auto& tensors = file.checkpoint().tensors();
  ProductProbe::Options probe_options;
  probe_options.backend = options.backend;
  probe_options.weight_bytes = d.fit.weight_bytes;
  RIDGELINE_TRY(ProductProbe probe, ProductProbe::create(probe_options));
  RIDGELINE_TRY(ModelRates measured, measure_rates(d.config, file.checkpoint(), options, probe));
  SpeedRates& rates = measured.rates;
  RIDGELINE_TRY_STATUS(add_rates(tensors, options, types_in(d.type_options), probe, rates));
  d.small_layer = measured.small_layer;
  d.read_bytes_per_second = rates.memory();
  describe_speeds(d.type_options, d.fit, rates, d.batch_tokens);
  predict_all(d, rates);
  ScenarioInput input;
  input.path = d.path;
  RIDGELINE_TRY(const auto chat_template, file.chat_template());
  input.has_chat_template = chat_template.has_value();
  input.model_arguments = arguments;
  input.types = &d.type_options;
  input.rates = &rates;
  input.q8_layer = &d.small_layer;
  input.fit = &d.fit;
  input.q8_fit = &d.small_fit;
  input.config = &d.config;
  input.batch_tokens = d.batch_tokens;
  input.threads =
      options.backend.threads > 0 ? options.backend.threads : topology().default_threads();
  d.scenarios = scenarios(input);
  d.rates = std::move(rates);
  return {};
}

}  // namespace

Result<ModelDiagnosis> diagnose_model(const std::string& path, const EngineOptions& options,
                                      const Ceilings& ceilings, const std::string& arguments) {
  RIDGELINE_TRY(const ModelFile file,
                ModelFile::open(path, {.quantize = options.quantize, .rope = options.rope}));
  const Checkpoint& checkpoint = file.checkpoint();
  ModelDiagnosis d;
  RIDGELINE_TRY(d.config, file.config());
  d.path = path;
  d.architecture = d.config.architecture;
  d.name = d.config.name;
  d.types = types_text(checkpoint.tensors());
  d.file_bytes = checkpoint.file_bytes();
  for (const TensorView& tensor : checkpoint.tensors()) d.parameters += tensor.elements();
  d.kv_type = options.kv_type;
  d.batch_tokens = options.batch_tokens;
  d.ceilings = ceilings;
  RIDGELINE_TRY(const std::unique_ptr<Backend> backend, create_backend(options.backend));
  RIDGELINE_TRY(d.fit, fit_of(d, *backend, checkpoint.tensors(), options, options.kv_type));
  RIDGELINE_TRY(d.small_fit, fit_of(d, *backend, checkpoint.tensors(), options, DType::kQ8_0));
  d.context = options.context > 0 ? options.context : d.fit.longest_context();
  d.cannot_run = misfit(d.fit, options.context);
  fill_streams(d);
  if (d.config.is_encoder) {
    d.no_prediction = "an encoder has no tokens to predict the speed of; `ridgeline embed` runs it";
    return d;
  }
  RIDGELINE_TRY(d.type_options, type_options(checkpoint, d.config, options, *backend,
                                             d.fit.kv.bytes_seen(1), d.file_bytes));
  RIDGELINE_TRY_STATUS(predict_speeds(d, file, options, arguments));
  return d;
}

}  // namespace ridgeline::doctor
