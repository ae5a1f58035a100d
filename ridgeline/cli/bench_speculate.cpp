#include "ridgeline/tools/bench_speculate.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ridgeline/cli/bench.h"
#include "ridgeline/cli/engine_arguments.h"
#include "ridgeline/cli/model_argument.h"
#include "ridgeline/cli/progress.h"
#include "ridgeline/cli/sampling_arguments.h"
#include "ridgeline/cli/speculation_report.h"
#include "ridgeline/model/load_chat_template.h"
#include "ridgeline/model/model_file.h"
#include "ridgeline/tools/check_cost.h"
#include "ridgeline/tools/speculation_plan.h"

namespace ridgeline::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kDefaultTokens = 128;
/// Passes are short: what disturbs one of them is nothing to a median of so many.
constexpr int kCurveRounds = 5;

struct BenchSpeculateArguments {
  EngineArguments engine;
  SamplingArguments sampling;
  std::string draft_model, prompts_file, category, file, json_file;
  std::vector<std::string> sections, drafters;
  std::vector<double> agreements{0, 0.2, 0.4, 0.6, 0.8, 0.9, 1};
  std::vector<int> lengths{1, 2, 3, 4, 6, 8, 12, 16};
  int max_draft = SpeculationOptions{}.max_draft;
  int limit = 0, edit_every = 8, rounds = 3;
  std::int64_t depth = 256;

  bool wants(const char* section) const {
    return std::ranges::find(sections, section) != sections.end();
  }
};

/// What files say, read before a model is loaded.
struct Inputs {
  std::vector<PromptLine> prompts{{"passage", std::string(sample_passage())}};
  std::string text{sample_passage()};
};

/// One part of the benchmark.
struct Section {
  std::string name, title;
  std::vector<SpeculationVariant> variants{};
  std::vector<SpeculationText> texts{};  ///< made when there is a tokenizer
};

/// What no flag said.
void set_defaults(BenchSpeculateArguments& a) {
  const bool model = !a.draft_model.empty();
  if (a.sections.empty()) {
    if (a.prompts_file.empty())
      a.sections = {"quotes", "adversarial"};
    else
      a.sections = {"prompts"};
  }
  if (!a.drafters.empty()) return;
  a.drafters = {"lookup", "recent"};
  if (model) a.drafters.emplace_back("model");
  a.drafters.emplace_back("all");
}

Status check(const BenchSpeculateArguments& a) {
  const int tokens = a.sampling.params.max_tokens;
  if (tokens < 2) return fail(fmt::format("--predict {}: expected 2 or more", tokens));
  if (a.wants("prompts") && a.prompts_file.empty())
    return fail("--only prompts: expected --prompts FILE");
  if (a.draft_model.empty()) {
    if (a.wants("rules")) return fail("--only rules: expected --draft-model FILE");
    if (std::ranges::find(a.drafters, "model") != a.drafters.end())
      return fail("--drafters model: expected --draft-model FILE");
  }
  if (a.wants("rules") && a.sampling.params.is_greedy())
    return fail("--only rules: both rules are one where nothing is drawn; expected --temp above 0");
  for (const double agreement : a.agreements)
    if (!(agreement >= 0 && agreement <= 1))
      return fail(fmt::format("--agreement {}: expected 0 to 1", agreement));
  for (const int length : a.lengths)
    if (length < 1 || length > a.max_draft)
      return fail(fmt::format("--lengths {}: expected 1 to {} (--draft-max)", length, a.max_draft));
  return a.sampling.check();
}

std::vector<Section> sections_of(const BenchSpeculateArguments& a, SpeculationPlan& plan) {
  const bool model = !a.draft_model.empty();
  std::vector<Section> sections;
  if (a.wants("prompts"))
    sections.push_back(
        {"prompts", "Prompts: what the model answers.", plan.add_drafters(a.drafters, model)});
  if (a.wants("rules"))
    sections.push_back({"rules",
                        "Rules: a draft model under the exact rule, and under the rejection rule, "
                        "whose texts are others.",
                        plan.add_rules()});
  if (a.wants("quotes"))
    sections.push_back({"quotes",
                        "Quotes: answers that repeat their prompt. Forced: the model computes and "
                        "samples each token, then the script's is taken.",
                        plan.add_drafters(a.drafters, model)});
  if (a.wants("adversarial"))
    sections.push_back({"adversarial",
                        "Adversarial texts, whose n-grams recur and go on otherwise; luring: "
                        "between quotes. Forced.",
                        plan.add_drafters(a.drafters, model)});
  if (a.wants("planted"))
    sections.push_back(
        {"planted",
         fmt::format("Planted agreement: each drafted token is right with this probability, if "
                     "those before it are; a draft costs {}. Forced. Speed-up by tokens drafted.",
                     model ? "what the draft model takes" : "nothing"),
         plan.add_planted(a.agreements, a.lengths)});
  return sections;
}

Result<Inputs> read_inputs(const BenchSpeculateArguments& a) {
  Inputs inputs;
  if (!a.prompts_file.empty()) {
    RIDGELINE_TRY(inputs.prompts, read_prompt_lines(a.prompts_file));
  }
  if (!a.file.empty()) {
    RIDGELINE_TRY(inputs.text, read_text(a.file));
  }
  return inputs;
}

Result<std::vector<SpeculationText>> own_prompts(const BenchSpeculateArguments& a,
                                                 const Inputs& inputs, Engine& engine,
                                                 const std::string& path) {
  RIDGELINE_TRY(const ModelFile file, ModelFile::open(path));
  RIDGELINE_TRY(const auto source, file.chat_template());
  std::optional<ChatTemplate> chat_template;
  if (source) {
    RIDGELINE_TRY(chat_template,
                  load_chat_template(file, /*with_tools=*/false, bos_token_text(engine.tokenizer()),
                                     eos_token_text(engine.tokenizer())));
  }
  int left_out = 0;
  RIDGELINE_TRY(
      std::vector<SpeculationText> texts,
      prompt_texts(inputs.prompts, engine.tokenizer(), chat_template ? &*chat_template : nullptr,
                   {.category = a.category,
                    .limit = a.limit,
                    .max_tokens = a.sampling.params.max_tokens,
                    .context = engine.context()},
                   left_out));
  if (left_out > 0)
    fmt::print(stderr, "{} prompts are longer than the context of {} positions and left out\n",
               left_out, engine.context());
  return texts;
}

Result<std::vector<SpeculationText>> texts_of(const BenchSpeculateArguments& a,
                                              const Inputs& inputs, const std::string& section,
                                              Engine& engine, const std::string& path) {
  const int tokens = a.sampling.params.max_tokens;
  if (section == "prompts" || section == "rules") return own_prompts(a, inputs, engine, path);
  if (section == "adversarial") return adversarial_texts(engine.tokenizer(), tokens);
  if (section == "planted") return std::vector{planted_text(engine.tokenizer(), tokens)};
  return quoting_texts(engine.tokenizer(), inputs.text, a.edit_every, tokens);
}

Status run_section(const BenchSpeculateArguments& a, const Section& section,
                   SpeculationBench& bench, const SamplingParams& params, Json& report) {
  ProgressBar bar(section.name);
  SpeculationBenchOptions options;
  options.rounds = a.rounds;
  options.params = params;
  options.on_progress = [&bar](double done) { bar.update(done); };
  RIDGELINE_TRY(const std::vector<SpeculationLine> lines,
                bench.run(section.texts, section.variants, options));
  bar.clear();
  fmt::print("\n");
  if (section.name == "planted") {
    print_planted(section.title, lines, a.agreements, a.lengths);
    report[section.name] = planted_json(lines, a.agreements, a.lengths);
    return {};
  }
  print_speculation(section.title, lines, section.variants);
  report[section.name] = to_json(lines, section.variants);
  for (const SpeculationLine& line : lines)
    if (line.different > 0 && section.variants[line.variant].rule == AcceptanceRule::kExact)
      return fail(fmt::format("{} texts of '{}' are others with drafts ({}) than without",
                              line.different, line.category, section.variants[line.variant].name));
  return {};
}

Status curve(const BenchSpeculateArguments& a, SpeculationBench& bench, Json& report) {
  // The head takes so many rows at once.
  const int most = a.max_draft + 1;
  RIDGELINE_TRY(
      const std::vector<CheckCost> costs,
      measure_check_costs(bench.engine(), a.depth, most, std::max(a.rounds, kCurveRounds)));
  fmt::print("\n");
  print_check_costs(
      fmt::format("Checking: one pass over so many rows behind {} positions, measured, and what "
                  "the engine reckons with.",
                  a.depth),
      costs);
  report["curve"] = to_json(costs);
  if (const double draft = bench.draft_seconds_per_token(); draft > 0)
    fmt::print("\nThe draft model takes {:.2f} ms for a token, {:.3f} of one row of the model.\n",
               draft * 1e3, draft / costs.front().seconds);
  return {};
}

Status bench_speculate(BenchSpeculateArguments a) {
  set_defaults(a);
  RIDGELINE_TRY_STATUS(check(a));
  RIDGELINE_TRY(const Inputs inputs, read_inputs(a));
  std::ofstream json;
  if (!a.json_file.empty()) {
    json.open(a.json_file, std::ios::binary);
    if (!json) return fail(fmt::format("--json {}: cannot be written", a.json_file));
  }
  SpeculationPlan plan;
  std::vector<Section> sections = sections_of(a, plan);
  std::vector<DrafterSpec> drafters = plan.drafters();
  if (a.wants("curve")) {  // the engine then knows that it checks drafts, and what one costs
    SpeculationPlan more;
    more.add_drafters({a.draft_model.empty() ? "lookup" : "model"}, true);
    drafters.insert(drafters.end(), more.drafters().begin(), more.drafters().end());
  }
  RIDGELINE_TRY(const std::string path, a.engine.model_path());
  RIDGELINE_TRY(EngineOptions options, a.engine.options());
  options.speculation.max_draft = a.max_draft;
  if (!a.draft_model.empty()) {
    RIDGELINE_TRY(options.speculation.draft_model, resolve_model(a.draft_model));
  }
  RIDGELINE_TRY(const SamplingParams params, a.sampling.sampling_params());
  RIDGELINE_TRY(const std::unique_ptr<SpeculationBench> bench,
                SpeculationBench::load(path, options, drafters));

  Engine& engine = bench->engine();
  for (Section& section : sections) {
    RIDGELINE_TRY(section.texts, texts_of(a, inputs, section.name, engine, path));
  }
  fmt::print("{}: {} threads, {}, {} rounds, {}\n", path, engine.backend().threads(),
             engine.backend().isa(), a.rounds,
             params.is_greedy() ? std::string("greedy")
                                : fmt::format("temperature {}", params.temperature));
  Json report{{"model", path},
              {"draft_model", options.speculation.draft_model},
              {"isa", engine.backend().isa()},
              {"threads", engine.backend().threads()},
              {"rounds", a.rounds},
              {"temperature", params.temperature},
              {"draft_seconds_per_token", bench->draft_seconds_per_token()}};
  if (a.wants("curve")) RIDGELINE_TRY_STATUS(curve(a, *bench, report));
  for (const Section& section : sections)
    RIDGELINE_TRY_STATUS(run_section(a, section, *bench, params, report));
  if (!json.is_open()) return {};
  json << report.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
  json.close();
  if (!json) return fail(fmt::format("--json {}: cannot be written", a.json_file));
  return {};
}

void add_text_options(CLI::App& command, BenchSpeculateArguments& a) {
  command
      .add_option("--only", a.sections,
                  "prompts: what the model answers; rules: the exact and the rejection rule; "
                  "quotes: answers that repeat their prompt; adversarial: texts that mislead "
                  "look-ups; planted: drafts that are right with a given probability; curve: what "
                  "checking costs (default: prompts with --prompts, else quotes,adversarial)")
      ->delimiter(',')
      ->check(CLI::IsMember({"prompts", "rules", "quotes", "adversarial", "planted", "curve"}));
  command.add_option("--prompts", a.prompts_file,
                     "JSON lines with turns, of which the first is taken, or prompt, and category");
  command.add_option("--limit", a.limit, "prompts of each category; 0: all")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command.add_option("--category", a.category, "prompts of this category alone");
  command.add_option("--file", a.file, "a text to quote from (default: two pages of English)");
  command
      .add_option("--edit-every", a.edit_every, "of a quoted text, every so manieth line is edited")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
}

void add_draft_options(CLI::App& command, BenchSpeculateArguments& a) {
  command.add_option("--draft-model", a.draft_model,
                     fmt::format("-md: a small model of the same vocabulary ({})", kModelHelp));
  command
      .add_option("--drafters", a.drafters,
                  "lookup, recent, model, all (default: all that there are, one by one and "
                  "together)")
      ->delimiter(',')
      ->check(CLI::IsMember({"lookup", "recent", "model", "all"}));
  command.add_option("--draft-max", a.max_draft, "tokens guessed at once")
      ->check(CLI::Range(1, kMaxDraft))
      ->capture_default_str();
  command.add_option("--agreement", a.agreements, "planted, e.g. 0,0.8")
      ->delimiter(',')
      ->capture_default_str();
  command
      .add_option("--lengths", a.lengths,
                  "tokens drafted each time, with planted agreement, beside the control's choice")
      ->delimiter(',')
      ->capture_default_str();
}

}  // namespace

void add_bench_speculate(CLI::App& bench, Action& action) {
  auto a = std::make_shared<BenchSpeculateArguments>();
  CLI::App* command = bench.add_subcommand(
      "speculate", "what drafts are worth: tokens a pass and speed-up over one at a time");
  a->engine.add_to(*command, /*model_required=*/false);
  add_text_options(*command, *a);
  add_draft_options(*command, *a);
  a->sampling.params.temperature = 0;
  a->sampling.params.max_tokens = kDefaultTokens;
  a->sampling.seed = 1;
  a->sampling.add_to(*command);
  command->add_option("-d,--depth", a->depth, "positions before the rows of --only curve")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 30))
      ->capture_default_str();
  command->add_option("--rounds", a->rounds, "times that all is measured; medians are shown")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_option("--json", a->json_file, "file for all figures");
  command->callback([a, &action] { action = [a] { return bench_speculate(*a); }; });
}

}  // namespace ridgeline::cli
