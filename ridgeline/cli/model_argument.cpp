#include "ridgeline/cli/model_argument.h"

#include <fmt/format.h>

#include <atomic>
#include <csignal>
#include <map>

#include "ridgeline/cli/download_display.h"

namespace ridgeline::cli {
namespace {

std::atomic<bool> interrupted = false;
static_assert(std::atomic<bool>::is_always_lock_free);

/// The first Ctrl-C ends the download in order, the second ends the program.
class InterruptGuard {
 public:
  InterruptGuard() {
    interrupted = false;
    struct sigaction action {};
    action.sa_handler = [](int) { interrupted = true; };
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    sigaction(SIGINT, &action, &before_int_);
    sigaction(SIGTERM, &action, &before_term_);
  }
  ~InterruptGuard() {
    sigaction(SIGINT, &before_int_, nullptr);
    sigaction(SIGTERM, &before_term_, nullptr);
  }
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

 private:
  struct sigaction before_int_ {};
  struct sigaction before_term_ {};
};

}  // namespace

Result<std::string> fetch_with_progress(const hub::HubReference& reference,
                                        hub::HubSettings settings) {
  const InterruptGuard guard;
  settings.stop = &interrupted;
  DownloadDisplay display;
  const hub::FetchEvents events{
      [&](const std::string& sentence) { display.note(sentence); },
      [&](const hub::DownloadProgress& progress) { display.update(progress); }};
  auto path = hub::fetch_model(reference, settings, events);
  if (path) display.finish();
  return path;
}

Result<std::string> resolve_model(const std::string& argument) {
  if (!argument.starts_with(hub::kScheme)) return argument;
  static std::map<std::string, std::string> resolved;  // a command may ask for its model twice
  if (const auto found = resolved.find(argument); found != resolved.end()) return found->second;
  RIDGELINE_TRY(const hub::HubReference reference, hub::HubReference::parse(argument));
  RIDGELINE_TRY(hub::HubSettings settings, hub::HubSettings::from_environment());
  RIDGELINE_TRY(std::string path, fetch_with_progress(reference, std::move(settings)));
  return resolved[argument] = std::move(path);
}

}  // namespace ridgeline::cli
