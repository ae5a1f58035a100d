#pragma once

#include <functional>
#include <string>

#include "ridgeline/tools/hub/http_client.h"
#include "ridgeline/tools/hub/hub_reference.h"
#include "ridgeline/tools/hub/repo_listing.h"

namespace ridgeline::hub {

struct HubError {
  std::string message;
  bool unreachable = false;  ///< nobody answered, or not now: what is in the cache may do
};
template <class T>
using HubResult = tl::expected<T, HubError>;

/// Waits between tries: longer each time, as long as a server asks for, not for ever.
class Backoff {
 public:
  explicit Backoff(const HubSettings& settings) : settings_(settings) {}
  /// How long to wait after the n-th failure in a row, from 1; nothing: give up.
  std::optional<std::chrono::milliseconds> after(int failures, const HttpHead& head) const;

 private:
  const HubSettings& settings_;
};

/// Statuses that may be others a moment later: 408, 429, 5xx.
bool is_passing(long status);

/// What a status that refuses `what` means, and what to do about it.
std::string refusal(const HttpHead& head, const HubSettings& settings, const std::string& repo,
                    const std::string& what);

/// The hub's questions and answers in JSON. Tries again as the settings say.
class HubApi {
 public:
  explicit HubApi(const HubSettings& settings);

  /// The commit that a branch or tag is at.
  HubResult<std::string> commit_of(const HubReference& reference);
  /// Every file at a commit.
  HubResult<RepoListing> list(const std::string& repo, const std::string& commit);

 private:
  struct Page {
    std::string text, next;  ///< "": the last
  };
  HubResult<Page> get(const std::string& url, const std::string& repo, const std::string& what);
  const HubSettings& settings_;
  HttpClient client_;
};

/// Where a file's content is.
std::string file_url(const HubSettings& settings, const std::string& repo,
                     const std::string& commit, const std::string& path);

/// Sleeps; false if it was stopped meanwhile.
bool sleep_unless_stopped(const HubSettings& settings, std::chrono::milliseconds time);

}  // namespace ridgeline::hub
