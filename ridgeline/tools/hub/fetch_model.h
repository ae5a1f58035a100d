#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "ridgeline/tools/hub/choose_files.h"
#include "ridgeline/tools/hub/downloader.h"
#include "ridgeline/tools/hub/hub_reference.h"
#include "ridgeline/tools/hub/hub_settings.h"

namespace ridgeline::hub {

/// What is worth telling while a model is fetched. All in the calling thread.
struct FetchEvents {
  std::function<void(const std::string& sentence)> note;
  ProgressFunction progress;
};

/// The path of a model of the hub in the cache: a file, or a folder; what is not there yet
/// is downloaded. If the hub cannot be reached, what the cache has is used, and a note says
/// so. A commit of which all is there needs no hub.
Result<std::string> fetch_model(const HubReference& reference, const HubSettings& settings,
                                const FetchEvents& events);

/// What the repository holds; from the cache where the hub is out of reach.
Result<RepoListing> list_repo(const HubReference& reference, const HubSettings& settings,
                              const FetchEvents& events);

}  // namespace ridgeline::hub
