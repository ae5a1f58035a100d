#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "ridgeline/cli/commands.h"
#include "ridgeline/cli/model_argument.h"

namespace ridgeline::cli {
namespace {

struct PullArguments {
  std::string model, revision;
  int jobs = 0;  ///< 0: as is usual
  bool list = false;
};

/// Every file with its size; a star before those that pull would fetch.
Status print_list(const hub::HubReference& reference, const hub::HubSettings& settings) {
  const hub::FetchEvents events{
      [](const std::string& sentence) { fmt::print(stderr, "ridgeline: {}\n", sentence); }, {}};
  RIDGELINE_TRY(const hub::RepoListing listing, hub::list_repo(reference, settings, events));
  const auto choice = hub::choose_files(listing, reference.selector);
  std::uint64_t bytes = 0;
  for (const hub::RepoFile& f : listing.files) {
    const bool chosen = choice && std::ranges::find(choice->files, f.path, &hub::RepoFile::path) !=
                                      choice->files.end();
    if (chosen) bytes += f.size;
    fmt::print("{} {:>8}  {}\n", chosen ? '*' : ' ', hub::size_text(f.size), f.path);
  }
  if (choice)
    fmt::print(stderr, "ridgeline: * {} that pull fetches\n", hub::size_text(bytes));
  else
    fmt::print(stderr, "ridgeline: {}: {}\n", reference.repo, choice.error().message);
  return {};
}

Status pull(const PullArguments& arguments) {
  RIDGELINE_TRY(hub::HubReference reference, hub::HubReference::parse(arguments.model));
  if (!arguments.revision.empty()) {
    if (!hub::is_safe_path(arguments.revision))
      return fail(
          fmt::format("--revision {}: expected a branch, a tag or a commit", arguments.revision));
    if (reference.revision != "main" && reference.revision != arguments.revision)
      return fail(fmt::format("--revision {}: the model already names revision {}",
                              arguments.revision, reference.revision));
    reference.revision = arguments.revision;
  }
  RIDGELINE_TRY(hub::HubSettings settings, hub::HubSettings::from_environment());
  if (arguments.jobs > 0) settings.jobs = arguments.jobs;
  if (arguments.list) return print_list(reference, settings);
  RIDGELINE_TRY(const std::string path, fetch_with_progress(reference, std::move(settings)));
  fmt::print("{}\n", path);
  return {};
}

}  // namespace

void add_pull(CLI::App& program, Action& action) {
  auto arguments = std::make_shared<PullArguments>();
  CLI::App* command = program.add_subcommand(
      "pull", "download a model from Hugging Face into its cache; prints the path");
  command
      ->add_option("MODEL", arguments->model,
                   "hf:owner/repo[@revision][:file or quantization]; without the last, a GGUF by "
                   "preference (Q4_K_M first), else the safetensors folder")
      ->required();
  command->add_option("--revision", arguments->revision, "branch, tag or commit (default: main)");
  command->add_option("-j,--jobs", arguments->jobs, "connections at once (default: 8)")
      ->check(CLI::Range(1, 64));
  command->add_flag("--list", arguments->list, "print what the repository has, and fetch nothing");
  command->footer(
      "Environment: HF_TOKEN, HF_ENDPOINT, HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE=1, "
      "HF_HUB_DOWNLOAD_TIMEOUT (seconds), https_proxy, SSL_CERT_FILE");
  command->callback([arguments, &action] { action = [arguments] { return pull(*arguments); }; });
}

}  // namespace ridgeline::cli
