#include "ridgeline/cli/model_argument.h"

#include <map>

#include "ridgeline/cli/download_display.h"
#include "ridgeline/cli/interrupt.h"

namespace ridgeline::cli {

Result<std::string> fetch_with_progress(const hub::HubReference& reference,
                                        hub::HubSettings settings) {
  const InterruptGuard guard;
  settings.stop = &guard.stop();
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
