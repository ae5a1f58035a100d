#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/base/result.h"

namespace ridgeline::hub {

/// One file of a repository at one commit. Its content is known by its hash, under which
/// the cache keeps it too: SHA-256 for what lies in LFS, git's SHA-1 of the blob otherwise.
struct RepoFile {
  std::string path;
  std::uint64_t size = 0;
  std::string blob_id;     ///< git's hash: of the content, or of the LFS pointer
  std::string lfs_sha256;  ///< "": not in LFS
  std::string xet_hash;    ///< of the hub's other protocol; kept for who speaks it

  const std::string& hash() const { return lfs_sha256.empty() ? blob_id : lfs_sha256; }
};

/// What a repository holds at a commit, which never changes.
struct RepoListing {
  std::string commit;
  std::vector<RepoFile> files;  ///< by path
  bool complete = true;         ///< false: only what lies in the cache is known

  const RepoFile* find(std::string_view path) const;
};

/// One page of the hub's /tree answer. Whatever in it could not be a repository's (a path
/// that leads outside, a hash that is none) is an error.
Result<std::vector<RepoFile>> parse_tree_page(std::string_view json);

/// The listing as huggingface_hub keeps it, in trees/<commit>.json. An unknown or damaged
/// text is no listing.
std::string to_tree_cache(const RepoListing& listing);
std::optional<RepoListing> from_tree_cache(std::string_view json, std::string_view commit);

}  // namespace ridgeline::hub
