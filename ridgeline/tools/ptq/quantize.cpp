#include "ridgeline/tools/ptq/quantize.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <utility>

#include "ridgeline/format/gguf.h"
#include "ridgeline/format/hugging_face.h"
#include "ridgeline/format/stack_experts.h"
#include "ridgeline/platform/mapped_file.h"
#include "ridgeline/platform/topology.h"
#include "ridgeline/tools/eval.h"
#include "ridgeline/tools/load/text_file.h"
#include "ridgeline/tools/ptq/fit_to_size.h"
#include "ridgeline/tools/ptq/gguf_metadata.h"
#include "ridgeline/tools/ptq/sensitivity.h"

namespace ridgeline::ptq {
namespace {

namespace fs = std::filesystem;

/// Writing over what is still being read would destroy both.
Status check_target(const Checkpoint& model, const std::string& target) {
  std::error_code error;
  if (!fs::exists(target, error)) return {};
  if (fs::is_directory(target, error))
    return fail(fmt::format("{}: is a folder, expected the name of a GGUF file to write", target));
  const auto file = MappedFile::open(target);
  if (!file) return {};  // an empty file, or one that may be written and not read
  for (const FileIdentity& source : model.identities())
    if (source.device == file->identity().device && source.inode == file->identity().inode)
      return fail(fmt::format(
          "{}: is the model that is read; expected another name for the new file", target));
  return {};
}

// Of a job's time, about: choosing types, where that is asked for; writing, before measuring;
// calibration, before rounding by weights.
constexpr double kTypesChosen = 0.5, kImportanceFound = 0.2;
constexpr double kWritten = 0.9, kPrepared = 0.8;
/// Of the calibration's text, where there is no other: enough to see what a type costs.
constexpr std::size_t kTokensMeasured = 8192;
/// That every tensor is tried on alone.
constexpr std::size_t kSensitivityTokens = 1024;
/// Of a tensor in the header, with its name and padding.
constexpr std::uint64_t kInfoBytesMax = 160;

/// A control whose progress is a part of another's.
ConvertControl part_of(const ConvertControl& control, double from, double to) {
  ConvertControl part = control;
  if (control.progress)
    part.progress = [progress = control.progress, from, to](double fraction) {
      progress(from + fraction * (to - from));
    };
  return part;
}

}  // namespace

Result<QuantizeJob> QuantizeJob::open(QuantizeOptions options) {
  QuantizeJob job;
  job.options_ = std::move(options);
  const QuantizeOptions& o = job.options_;
  job.options_.types.importance = o.method.kind != MethodKind::kNearest;
  std::error_code error;
  const bool is_folder = fs::is_directory(o.source, error);
  RIDGELINE_TRY(Checkpoint model, is_folder ? open_hugging_face(o.source) : open_gguf(o.source));
  RIDGELINE_TRY(model, stack_experts(std::move(model)));
  job.model_ = std::make_unique<const Checkpoint>(std::move(model));
  RIDGELINE_TRY_STATUS(check_target(*job.model_, o.target));
  RIDGELINE_TRY(job.plan_, QuantizePlan::make(*job.model_, o.types, o.requantize));
  RIDGELINE_TRY_STATUS(check(o.method));
  if (job.fits_to_size() && o.method.calibration.text.empty())
    return fail(
        "a size to fit into: which tensors matter is measured on a text; expected "
        "--calibration TEXT");
  if (is_folder) {
    RIDGELINE_TRY(job.described_, export_folder(*job.model_, o.source));
  } else {
    job.described_.metadata.assign(job.model_->metadata().begin(), job.model_->metadata().end());
  }
  if (!o.method.calibration.text.empty()) {
    job.options_.method.calibration.threads = o.threads;
    RIDGELINE_TRY(job.calibration_, read_calibration(o.source, o.method.calibration));
  }
  return job;
}

std::vector<std::string> QuantizeJob::notes() const {
  std::vector<std::string> all = described_.notes;
  all.insert(all.end(), notes_.begin(), notes_.end());
  return all;
}

Result<QuantizeReport> QuantizeJob::run(const ConvertControl& control) {
  const auto start = std::chrono::steady_clock::now();
  ThreadPool threads(options_.threads > 0 ? options_.threads : topology().default_threads());
  double chosen = 0.0;
  if (fits_to_size()) {
    chosen = kTypesChosen;
    RIDGELINE_TRY_STATUS(choose_types(part_of(control, 0.0, chosen), threads));
  }
  const bool measures = options_.measures && (!options_.eval_text.empty() || calibration_);
  RIDGELINE_TRY(QuantizeReport report,
                write(part_of(control, chosen, measures ? kWritten : 1.0), threads));
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (measures) RIDGELINE_TRY_STATUS(measure(part_of(control, kWritten, 1.0), report));
  return report;
}

MethodInputs QuantizeJob::inputs(const ConvertControl& control, ThreadPool& threads) const {
  return {*model_,
          plan_,
          calibration_ ? &*calibration_ : nullptr,
          importance_ ? &*importance_ : nullptr,
          threads,
          control.progress,
          control.stop};
}

Result<std::uint64_t> QuantizeJob::tensor_budget() const {
  if (options_.target_bits > 0)
    return static_cast<std::uint64_t>(options_.target_bits / 8 *
                                      static_cast<double>(plan_.elements()));
  // What is no tensor is best known once it is written.
  const std::string path = options_.target + ".metadata";
  RIDGELINE_TRY_STATUS(write_gguf(path, quantized_metadata(described_.metadata, plan_), {}));
  std::error_code error;
  const std::uint64_t header = fs::file_size(path, error) + plan_.tensors().size() * kInfoBytesMax;
  fs::remove(path, error);
  if (options_.target_bytes <= header)
    return fail(
        fmt::format("--target-size of {} bytes: the vocabulary and other metadata alone "
                    "take {}",
                    options_.target_bytes, header));
  return options_.target_bytes - header;
}

Status QuantizeJob::choose_types(const ConvertControl& control, ThreadPool& threads) {
  RIDGELINE_TRY(const std::uint64_t budget, tensor_budget());
  RIDGELINE_TRY(
      importance_,
      find_importance(options_.method, inputs(part_of(control, 0.0, kImportanceFound), threads)));
  std::vector<std::vector<TokenId>> windows;
  std::size_t tokens = 0;
  for (const auto& window : calibration_->windows) {
    if (tokens > 0 && tokens + window.size() > kSensitivityTokens) break;
    windows.push_back(window);
    tokens += window.size();
  }
  RIDGELINE_TRY(const auto sensitivity,
                Sensitivity::measure_from(*model_, calibration_->config, std::move(windows),
                                          calibration_->backend));
  RIDGELINE_TRY_STATUS(fit_to_size(plan_, budget, *sensitivity, *importance_,
                                   part_of(control, kImportanceFound, 1.0).progress, control.stop));
  plan_.rename(fmt::format("{:.2f} bits", plan_.bits_per_weight()));
  return {};
}

Result<QuantizeReport> QuantizeJob::write(const ConvertControl& control, ThreadPool& threads) {
  const bool is_gptq = options_.method.kind == MethodKind::kGptq;
  const double prepared = is_gptq ? 1.0 : calibration_ && !importance_ ? kPrepared : 0.0;
  RIDGELINE_TRY(const std::unique_ptr<Method> method,
                make_method(options_.method, inputs(part_of(control, 0.0, prepared), threads)));
  const GgufMetadata metadata = quantized_metadata(described_.metadata, plan_);
  // GPTQ says itself how far it is: tensors come in bursts.
  ConvertControl of_convert = part_of(control, prepared, 1.0);
  if (is_gptq) of_convert.progress = nullptr;
  QuantizeReport report;
  RIDGELINE_TRY(report.tensors,
                convert(*model_, plan_, metadata, options_.target, *method, threads, of_convert));
  for (std::string& note : method->notes()) notes_.push_back(std::move(note));
  report.source = options_.source;
  report.target = options_.target;
  report.type = plan_.type_name();
  report.method = method->name();
  report.calibration = options_.method.calibration.text.empty() ? options_.method.imatrix
                                                                : options_.method.calibration.text;
  report.settings = settings();
  report.date = fmt::format("{:%Y-%m-%d %H:%M} UTC", fmt::gmtime(std::time(nullptr)));
  report.source_bytes = model_->file_bytes();
  std::error_code error;
  report.target_bytes = fs::file_size(options_.target, error);
  report.bits_per_weight = plan_.bits_per_weight();
  return report;
}

std::vector<std::pair<std::string, std::string>> QuantizeJob::settings() const {
  std::vector<std::pair<std::string, std::string>> out;
  if (!calibration_) return out;
  std::size_t tokens = 0;
  for (const auto& window : calibration_->windows) tokens += window.size();
  out.emplace_back("calibration tokens", std::to_string(tokens));
  out.emplace_back("tokens of a window", std::to_string(options_.method.calibration.context));
  if (options_.method.kind == MethodKind::kGptq) {
    out.emplace_back("damping", fmt::format("{}", options_.method.gptq.damping));
    out.emplace_back("order of inputs",
                     options_.method.gptq.act_order ? "most driven first" : "as they lie");
  }
  return out;
}

Status QuantizeJob::measure(const ConvertControl& control, QuantizeReport& report) {
  RIDGELINE_TRY(const ModelFile base, ModelFile::open(options_.source));
  RIDGELINE_TRY(const ModelFile rounded, ModelFile::open(options_.target));
  RIDGELINE_TRY(const ModelConfig config, base.config());
  if (config.is_encoder) {
    notes_.push_back("nothing was measured: an encoder predicts no tokens");
    return {};
  }
  if (const Status fit = check_both_fit(base, rounded); !fit) {
    notes_.push_back("nothing was measured: " + fit.error().message);
    return {};
  }
  RIDGELINE_TRY(const std::vector<EvalWindow> windows, windows_to_measure(base, report));
  EngineOptions options;
  options.backend.threads = options_.threads;
  for (const EvalWindow& w : windows)
    options.context = std::max(options.context, static_cast<std::int64_t>(w.tokens.size()));
  // Both as exactly as they can be computed: what is measured is the file. `eval` says what it
  // costs to round activations beside it.
  options.kv_type = DType::kF32;
  options.backend.activations = ActivationPrecision::kExact;
  RIDGELINE_TRY(const auto model, Engine::load(options_.target, options));
  RIDGELINE_TRY(const auto original, Engine::load(options_.source, options));
  RIDGELINE_TRY(const ComparedEval compared,
                evaluate_against(*original, *model, windows, control.progress));
  report.eval_context = options_.method.calibration.context;
  report.before = compared.base;
  report.after = compared.model;
  report.divergence = compared.divergence;
  return {};
}

Result<std::vector<EvalWindow>> QuantizeJob::windows_to_measure(const ModelFile& base,
                                                                QuantizeReport& report) {
  if (!options_.eval_text.empty()) {
    report.eval_text = options_.eval_text;
    RIDGELINE_TRY(const std::string text, load::read_text_file(options_.eval_text));
    RIDGELINE_TRY(const std::unique_ptr<Tokenizer> tokenizer, base.tokenizer());
    return text_windows(*tokenizer, text, options_.method.calibration.context);
  }
  report.eval_text = calibration_->unused.empty()
                         ? options_.method.calibration.text
                         : options_.method.calibration.text + ", parts not used for calibration";
  auto& from = calibration_->unused.empty() ? calibration_->windows : calibration_->unused;
  if (calibration_->unused.empty())
    notes_.push_back(
        fmt::format("{}: the new file was measured on the text that it was calibrated "
                    "with; --eval TEXT takes another",
                    options_.method.calibration.text));
  const std::size_t context = static_cast<std::size_t>(options_.method.calibration.context);
  const std::size_t count =
      std::min(std::max<std::size_t>(1, kTokensMeasured / context), from.size());
  std::vector<EvalWindow> windows;
  for (std::size_t i = 0; i < count; ++i) {
    const auto& tokens = from[i * from.size() / count];
    windows.push_back({tokens, tokens.size() / 2 + 1});
  }
  return windows;
}

}  // namespace ridgeline::ptq
