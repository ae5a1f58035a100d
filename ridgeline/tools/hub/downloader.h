#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "ridgeline/tools/hub/hub_settings.h"
#include "ridgeline/tools/hub/repo_listing.h"

namespace ridgeline::hub {

struct Download {
  RepoFile file;
  std::string url;
  std::string part_path;  ///< while it comes
  std::string path;       ///< once it is whole and its hash is right
};

struct DownloadProgress {
  std::uint64_t bytes = 0, bytes_total = 0;
  std::uint64_t bytes_before = 0;  ///< were there when it began
  std::size_t files = 0, files_total = 0;
};
using ProgressFunction = std::function<void(const DownloadProgress&)>;

/// Fetches files, several at once and each large one over several connections. What breaks
/// is tried again where it broke, what is complete is compared with its hash, and only then
/// gets its name. An error, a stop and a killed process leave parts that the next call goes
/// on from. `progress` is called in this thread, several times a second. The caller holds
/// the locks.
Status download(std::span<const Download> downloads, const std::string& repo,
                const HubSettings& settings, const ProgressFunction& progress);

}  // namespace ridgeline::hub
