#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ridgeline/platform/file_descriptor.h"
#include "ridgeline/tools/hub/hub_settings.h"
#include "ridgeline/tools/hub/repo_listing.h"

namespace ridgeline::hub {

/// One repository's folder in the cache that huggingface_hub keeps, so that its users and
/// ours share files:
///
///     models--OWNER--NAME/blobs/HASH                    contents
///                        /snapshots/COMMIT/PATH         -> ../../blobs/HASH
///                        /refs/REVISION                 the commit it was last seen at
///                        /trees/COMMIT.json             what the repository holds
///     .locks/models--OWNER--NAME/HASH.lock              flock()ed by who downloads it
class HubCache {
 public:
  HubCache(std::string cache_folder, const std::string& repo);

  std::optional<std::string> commit_of(const std::string& revision) const;
  std::optional<RepoListing> listing(const std::string& commit) const;
  /// What the snapshot has of the repository, where nobody kept the list.
  RepoListing snapshot_listing(const std::string& commit) const;

  std::string snapshot_path(const std::string& commit, const std::string& path) const;
  std::string blob_path(const RepoFile& file) const;
  /// Of a download that is under way or was interrupted. Not huggingface_hub's HASH.incomplete:
  /// releases before 2.4 go on at that file's end, and ours has its last bytes early.
  std::string part_path(const RepoFile& file) const;
  /// Is it in the snapshot, in its whole length?
  bool has(const std::string& commit, const RepoFile& file) const;

  /// Makes the folders. Errors: the first that cannot be made.
  Status prepare() const;
  /// Notes that cannot be written are missed by nobody: the hub is asked again.
  void keep_commit(const std::string& revision, const std::string& commit) const;
  void keep_listing(const RepoListing& listing) const;
  /// Puts a complete blob into the snapshot.
  Status link(const std::string& commit, const RepoFile& file) const;

  /// Waits until no other process downloads this blob; `waiting` is called before, and
  /// regularly while it does: false ends it. Held until the descriptor goes.
  Result<FileDescriptor> lock(const RepoFile& file, const std::function<bool()>& waiting) const;

 private:
  std::string cache_folder_, name_, folder_;
};

}  // namespace ridgeline::hub
