#include "ridgeline/tools/ptq/quantize.h"

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "ridgeline/cli/commands.h"
#include "ridgeline/cli/engine_arguments.h"
#include "ridgeline/cli/interrupt.h"
#include "ridgeline/cli/model_argument.h"
#include "ridgeline/cli/progress.h"
#include "ridgeline/kernels/kernel_table.h"
#include "ridgeline/platform/atomic_file.h"

namespace ridgeline::cli {
namespace {

struct QuantizeArguments {
  std::string source, method, report, target_size;
  std::vector<std::string> tensor_types;  ///< PATTERN=TYPE
  ptq::QuantizeOptions options;
  std::vector<const CLI::Option*> of_gptq;  ///< what only that method reads
  bool no_report = false, dry_run = false, json = false;
};

/// What the tensors of one kind, the same in all layers, come to.
struct KindTotal {
  std::map<std::string_view, int> types;  ///< in the new file: how many
  std::int64_t elements = 0;
  std::size_t bytes = 0;
  ptq::TensorQuality quality;
};

std::string kind_of(std::string_view tensor) {
  if (tensor.starts_with("blk."))
    tensor.remove_prefix(std::min(tensor.find('.', 4) + 1, tensor.size()));
  if (tensor.ends_with(".weight")) tensor.remove_suffix(std::string_view(".weight").size());
  return std::string(tensor);
}

std::string mebibyte_text(std::size_t bytes) {
  return fmt::format("{:.1f}", static_cast<double>(bytes) / (1 << 20));
}

std::string types_text(const std::map<std::string_view, int>& types) {
  std::string text;
  for (const auto& [type, count] : types)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, type);
  return text;
}

std::string quality_cells(const ptq::TensorQuality& q) {
  if (q.elements == 0) return fmt::format("{:>8} {:>10}", "", "");
  if (!(q.noise > 0)) return fmt::format("{:>8} {:>10}", "exact", "");
  return fmt::format("{:>8.2f} {:>10.2g}", q.sqnr_db(), q.max_error);
}

void print_row(std::string_view kind, std::string_view types, std::int64_t elements,
               std::size_t bytes, const ptq::TensorQuality& quality) {
  const double bits = 8 * static_cast<double>(bytes) / static_cast<double>(elements);
  fmt::print("{:<20} {:<24} {:>10} {:>6.2f} {}\n", kind, types, mebibyte_text(bytes), bits,
             quality_cells(quality));
}

void print_summary(const ptq::QuantizeReport& report) {
  std::map<std::string, KindTotal> kinds;
  KindTotal all;
  for (const ptq::TensorReport& t : report.tensors) {
    std::int64_t elements = 1;
    for (const std::int64_t n : t.shape) elements *= n;
    for (KindTotal* total : {&kinds[kind_of(t.name)], &all}) {
      ++total->types[name(t.to)];
      total->elements += elements;
      total->bytes += t.bytes;
      total->quality.add(t.quality);
    }
  }
  fmt::print("{:<20} {:<24} {:>10} {:>6} {:>8} {:>10}\n", "tensors", "types", "MiB", "bits",
             "SQNR dB", "max error");
  for (const auto& [kind, total] : kinds)
    print_row(kind, types_text(total.types), total.elements, total.bytes, total.quality);
  print_row("all", report.type, all.elements, all.bytes, all.quality);
  fmt::print("{}: {} MiB from {} MiB in {:.1f} s, {:.2f} bits per weight, method {}\n",
             report.target, mebibyte_text(report.target_bytes), mebibyte_text(report.source_bytes),
             report.seconds, report.bits_per_weight, report.method);
  if (!report.divergence) return;
  const DivergenceResult& d = *report.divergence;
  fmt::print("on {} ({} tokens): perplexity {:.4f}, before {:.4f}\n", report.eval_text,
             report.after->predicted_tokens, report.after->perplexity, report.before->perplexity);
  fmt::print(
      "KL(before || after): mean {:.6f} ± {:.6f}, 99 % {:.6f}, max {:.6f}; same top token "
      "{:.2f} %\n",
      d.kl_mean, d.kl_stderr, d.kl_p99, d.kl_max, 100 * d.top1);
}

void print_plan(const ptq::QuantizePlan& plan, bool json) {
  if (json) {
    nlohmann::ordered_json out{{"type", plan.type_name()},
                               {"bytes", plan.bytes()},
                               {"bits_per_weight", plan.bits_per_weight()}};
    for (const ptq::PlannedTensor& t : plan.tensors())
      out["tensors"].push_back({{"name", t.source->name},
                                {"shape", t.source->shape},
                                {"from", name(t.source->dtype)},
                                {"to", name(t.type)},
                                {"bytes", t.bytes()}});
    fmt::print("{}\n", out.dump(2));
    return;
  }
  fmt::print("{:<36} {:<20} {:<7} {:<7} {:>12} {:>6}\n", "tensor", "shape", "from", "to", "bytes",
             "bits");
  for (const ptq::PlannedTensor& t : plan.tensors())
    fmt::print("{:<36} {:<20} {:<7} {:<7} {:>12} {:>6.2f}\n", t.source->name,
               fmt::format("{}", fmt::join(t.source->shape, " x ")), name(t.source->dtype),
               name(t.type), t.bytes(),
               8 * static_cast<double>(t.bytes()) / static_cast<double>(t.source->elements()));
  fmt::print("{:<36} {:<20} {:<7} {:<7} {:>12} {:>6.2f}\n", "all", "", "", plan.type_name(),
             plan.bytes(), plan.bits_per_weight());
}

Status write_text(const std::string& path, std::string_view text) {
  RIDGELINE_TRY(AtomicFile file, AtomicFile::create(path, text.size()));
  RIDGELINE_TRY_STATUS(file.write(0, std::as_bytes(std::span(text))));
  RIDGELINE_TRY(const MappedFile whole, file.publish());
  return {};
}

/// PATH.json and PATH.html, whatever of the two PATH ends in.
Status write_report(const ptq::QuantizeReport& report, std::string path) {
  for (const std::string_view end : {".json", ".html"})
    if (path.ends_with(end)) path.erase(path.rfind(end));
  RIDGELINE_TRY_STATUS(write_text(path + ".json", to_json(report)));
  return write_text(path + ".html", to_html(report));
}

Result<ptq::QuantizeOptions> read_options(const QuantizeArguments& arguments) {
  ptq::QuantizeOptions options = arguments.options;
  RIDGELINE_TRY(options.source, resolve_model(arguments.source));
  if (!arguments.method.empty()) {
    RIDGELINE_TRY(options.method.kind, ptq::method_kind(arguments.method));
  } else if (!options.method.imatrix.empty() || !options.method.calibration.text.empty()) {
    options.method.kind = ptq::MethodKind::kImportance;
  }
  if (!arguments.target_size.empty()) {
    RIDGELINE_TRY(options.target_bytes, parse_bytes(arguments.target_size, "--target-size"));
  }
  const bool fits = options.target_bytes > 0 || options.target_bits > 0;
  if (options.types.type.empty() && !fits)
    return fail("what is wanted? expected --type TYPE, --target-size SIZE or --target-bpw BITS");
  if (fits && arguments.dry_run)
    return fail(
        "--dry-run: which types fit the size is measured, not known before; expected --type");
  for (const CLI::Option* option : arguments.of_gptq)
    if (option->count() > 0 && options.method.kind != ptq::MethodKind::kGptq)
      return fail(fmt::format("{}: only --method gptq has a use for it", option->get_name()));
  if (fits) options.types.type = "Q8_0";  // of what may be rounded at all
  for (const std::string& text : arguments.tensor_types) {
    const std::size_t equals = text.rfind('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
      return fail(
          fmt::format("--tensor-type {}: expected PATTERN=TYPE, such as ffn_down=Q6_K", text));
    options.types.overrides.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return options;
}

Status quantize(const QuantizeArguments& arguments) {
  RIDGELINE_TRY(ptq::QuantizeOptions options, read_options(arguments));
  RIDGELINE_TRY(ptq::QuantizeJob job, ptq::QuantizeJob::open(std::move(options)));
  if (arguments.dry_run) {
    print_plan(job.plan(), arguments.json);
    return {};
  }
  ptq::QuantizeReport report;
  {
    const InterruptGuard guard;
    ProgressBar bar("quantizing");
    RIDGELINE_TRY(report, job.run({[&bar](double f) { bar.update(f); }, &guard.stop()}));
  }
  report.version = RIDGELINE_VERSION;
  report.isa = find_kernels("")->name;
  for (const std::string& note : job.notes()) fmt::print(stderr, "ridgeline: note: {}\n", note);
  if (!arguments.no_report)
    RIDGELINE_TRY_STATUS(write_report(
        report, arguments.report.empty() ? report.target + ".report" : arguments.report));
  if (arguments.json)
    fmt::print("{}\n", to_json(report));
  else
    print_summary(report);
  return {};
}

}  // namespace

void add_quantize(CLI::App& program, Action& action) {
  auto arguments = std::make_shared<QuantizeArguments>();
  ptq::QuantizeOptions& options = arguments->options;
  CLI::App* command =
      program.add_subcommand("quantize", "a model as a smaller GGUF file, and what that cost");
  command->add_option("IN", arguments->source, kModelHelp)->required();
  command->add_option("OUT", options.target, "GGUF file to write")->required();
  auto* type = command->add_option(
      "--type", options.types.type,
      "F32, F16, BF16, Q8_0, Q6_K, Q5_K_M, Q5_K_S, Q4_K_M, Q4_K_S, Q3_K_L, Q3_K_M, "
      "Q3_K_S, Q2_K, Q5_1, Q5_0, Q4_1, Q4_0, IQ4_NL, IQ4_XS");
  auto* size = command->add_option("--target-size", arguments->target_size,
                                   "instead of a type: a file of at most this size, as 2.5G; "
                                   "types by what --calibration shows each tensor to cost");
  auto* bits =
      command
          ->add_option("--target-bpw", options.target_bits, "the same by bits per weight, as 4.25")
          ->check(CLI::Range(1.0, 16.0));
  size->excludes(type)->excludes(bits);
  bits->excludes(type);
  command->add_option("--method", arguments->method,
                      "nearest, importance or gptq (default: importance with --imatrix or "
                      "--calibration, else nearest)");
  auto* imatrix = command->add_option("--imatrix", options.method.imatrix,
                                      "importance matrix, a file of llama.cpp's format");
  command
      ->add_option("--calibration", options.method.calibration.text,
                   "text that the model reads, to learn what matters in it")
      ->excludes(imatrix);
  command
      ->add_option("--calibration-tokens", options.method.calibration.tokens,
                   "of that text so many tokens, in even steps; 0: all of it")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 40))
      ->capture_default_str();
  auto* damping =
      command
          ->add_option("--damping", options.method.gptq.damping,
                       "of GPTQ: share of the Hessian's mean diagonal that is added to it")
          ->check(CLI::Range(1e-6, 1.0))
          ->capture_default_str();
  auto* refinements = command
                          ->add_option("--refinements", options.method.gptq.refinements,
                                       "of GPTQ: times that scales and levels are chosen again")
                          ->check(CLI::Range(0, 100))
                          ->capture_default_str();
  auto* compensation =
      command
          ->add_option("--compensation", options.method.gptq.compensation,
                       "of GPTQ: share of what the residual stream has lost that ffn_down makes up "
                       "for; anything but 0 doubles the passes")
          ->check(CLI::Range(0.0, 1.0))
          ->capture_default_str();
  auto* order =
      command->add_flag("!--no-act-order", options.method.gptq.act_order,
                        "GPTQ goes through the inputs as they lie, not the most driven first");
  arguments->of_gptq = {damping, refinements, compensation, order};
  command->add_option("--save-imatrix", options.method.save_imatrix,
                      "file for the importance matrix that --calibration gives");
  command->add_flag("!--no-eval", options.measures,
                    "do not measure the new file on what --calibration left of its text");
  command->add_option("--eval", options.eval_text,
                      "text on which the new file is compared with the original");
  command
      ->add_option("-c,--context,--ctx-size", options.method.calibration.context,
                   "tokens of a window of --calibration and --eval")
      ->check(CLI::Range(std::int64_t{4}, std::int64_t{1} << 24))
      ->capture_default_str();
  command->add_option("-t,--threads", options.threads, "threads (default: physical cores)")
      ->check(CLI::Range(1, 4096));
  command
      ->add_option("--tensor-type", arguments->tensor_types,
                   "PATTERN=TYPE: another type for tensors in whose names the regular "
                   "expression is found; may be given several times, the last match counts")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->add_option("--output-type", options.types.output_type,
                      "type of the head, and of an embedding that is the head too");
  command->add_option("--token-embedding-type", options.types.token_embedding_type,
                      "type of the embedding");
  command->add_flag("--keep-output", options.types.keep_output,
                    "leave the head (and an embedding that is the head too) as it is");
  command->add_flag("--allow-requantize", options.requantize,
                    "take a model that is quantized already");
  auto* report = command->add_option("--report", arguments->report,
                                     "PATH.json and PATH.html (default: OUT.report.*)");
  command->add_flag("--no-report", arguments->no_report, "write no report")->excludes(report);
  command->add_flag("--dry-run", arguments->dry_run, "print each tensor's type and size, and stop");
  command->add_flag("--json", arguments->json, "one JSON object");
  command->callback(
      [arguments, &action] { action = [arguments] { return quantize(*arguments); }; });
}

}  // namespace ridgeline::cli
