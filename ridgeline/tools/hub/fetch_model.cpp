#include "ridgeline/tools/hub/fetch_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <vector>

#include "ridgeline/tools/hub/hub_api.h"
#include "ridgeline/tools/hub/hub_cache.h"

namespace ridgeline::hub {
namespace {

void tell(const FetchEvents& events, const std::string& sentence) {
  if (events.note) events.note(sentence);
}

std::string short_commit(const std::string& commit) { return commit.substr(0, 10); }

/// The way from a name to a listing, with what is learnt of the network on it.
class Lookup {
 public:
  Lookup(const HubReference& reference, const HubSettings& settings, const FetchEvents& events)
      : reference_(reference),
        settings_(settings),
        events_(events),
        cache_(settings.cache_folder, reference.repo),
        questions_(settings) {
    // A download that breaks is worth a minute's patience, a question that nobody hears less.
    questions_.attempts = std::min(questions_.attempts, 4);
  }

  Result<RepoListing> listing() {
    RIDGELINE_TRY(const std::string commit, find_commit());
    return find_listing(commit);
  }
  bool may_download() const { return !settings_.offline && !unreachable_; }
  const HubCache& cache() const { return cache_; }

 private:
  Result<std::string> find_commit();
  Result<RepoListing> find_listing(const std::string& commit);
  tl::unexpected<Error> not_cached(const std::string& why) const {
    return fail(fmt::format("{} at {} is not in the cache {}, and {}", reference_.repo,
                            reference_.revision, settings_.cache_folder, why));
  }

  const HubReference& reference_;
  const HubSettings& settings_;
  const FetchEvents& events_;
  HubCache cache_;
  HubSettings questions_;
  bool unreachable_ = false;
};

Result<std::string> Lookup::find_commit() {
  if (is_commit(reference_.revision)) return reference_.revision;
  const std::optional<std::string> cached = cache_.commit_of(reference_.revision);
  if (settings_.offline) {
    if (cached) return *cached;
    return not_cached("HF_HUB_OFFLINE forbids to download it");
  }
  // Whoever has the model need not wait long for news of it.
  HubSettings hasty = questions_;
  if (cached) {
    hasty.attempts = 1;
    hasty.connect_timeout = std::min(hasty.connect_timeout, std::chrono::seconds(5));
    hasty.stall_timeout = std::min(hasty.stall_timeout, std::chrono::seconds(5));
  }
  auto commit = HubApi(hasty).commit_of(reference_);
  if (commit) return *std::move(commit);
  if (!commit.error().unreachable || !cached) return fail(std::move(commit.error().message));
  unreachable_ = true;
  tell(events_, fmt::format("{}; using the copy of {} at {} in the cache", commit.error().message,
                            reference_.repo, short_commit(*cached)));
  return *cached;
}

Result<RepoListing> Lookup::find_listing(const std::string& commit) {
  if (std::optional<RepoListing> kept = cache_.listing(commit)) return *std::move(kept);
  if (may_download()) {
    auto listing = HubApi(questions_).list(reference_.repo, commit);
    if (listing) return *std::move(listing);
    if (!listing.error().unreachable) return fail(std::move(listing.error().message));
    RepoListing snapshot = cache_.snapshot_listing(commit);
    if (snapshot.files.empty()) return fail(std::move(listing.error().message));
    unreachable_ = true;
    tell(events_, listing.error().message + "; using what is in the cache");
    return snapshot;
  }
  RepoListing snapshot = cache_.snapshot_listing(commit);
  if (!snapshot.files.empty()) return snapshot;
  return not_cached(settings_.offline ? "HF_HUB_OFFLINE forbids to download it"
                                      : "the hub cannot be reached");
}

/// Only what is there, for choosing without a network.
RepoListing present(const RepoListing& listing, const HubCache& cache) {
  RepoListing result{listing.commit, {}, false};
  std::ranges::copy_if(listing.files, std::back_inserter(result.files),
                       [&](const RepoFile& f) { return cache.has(listing.commit, f); });
  return result;
}

bool is_file(const std::string& path, std::uint64_t size) {
  std::error_code error;
  const std::uintmax_t found = std::filesystem::file_size(path, error);
  return !error && found == size;
}

Status fetch_missing(const HubReference& reference, const RepoListing& listing,
                     std::vector<RepoFile> missing, const HubCache& cache,
                     const HubSettings& settings, const FetchEvents& events) {
  RIDGELINE_TRY_STATUS(cache.prepare());
  // In the order of their hashes, as every process takes them: none waits for another that
  // waits for it. A repository may have the same content under two names.
  std::ranges::sort(missing, {}, &RepoFile::hash);
  std::vector<FileDescriptor> locks;
  std::vector<Download> downloads;
  std::uint64_t bytes = 0;
  for (const RepoFile& f : missing) {
    if (!downloads.empty() && downloads.back().file.hash() == f.hash()) continue;
    bool told = false;
    RIDGELINE_TRY(FileDescriptor lock, cache.lock(f, [&] {
      if (!told) tell(events, fmt::format("waiting for another process that downloads {}", f.path));
      told = true;
      return !settings.stopped();
    }));
    if (is_file(cache.blob_path(f), f.size)) continue;
    locks.push_back(std::move(lock));
    bytes += f.size;
    downloads.push_back({f, file_url(settings, reference.repo, listing.commit, f.path),
                         cache.part_path(f), cache.blob_path(f)});
  }
  if (!downloads.empty()) {
    tell(events, fmt::format("downloading {} file{} of {} ({}) to {}", downloads.size(),
                             downloads.size() == 1 ? "" : "s", reference.repo, size_text(bytes),
                             settings.cache_folder));
    // The largest come last: the small ones need not wait behind them.
    std::ranges::sort(downloads, {}, [](const Download& d) { return d.file.size; });
    RIDGELINE_TRY_STATUS(download(downloads, reference.repo, settings, events.progress));
  }
  for (const RepoFile& f : missing) RIDGELINE_TRY_STATUS(cache.link(listing.commit, f));
  return {};
}

}  // namespace

Result<std::string> fetch_model(const HubReference& reference, const HubSettings& settings,
                                const FetchEvents& events) {
  Lookup lookup(reference, settings, events);
  RIDGELINE_TRY(const RepoListing listing, lookup.listing());
  const HubCache& cache = lookup.cache();
  const auto choose = [&](const RepoListing& from) -> Result<ModelChoice> {
    auto choice = choose_files(from, reference.selector);
    if (choice) return choice;
    return fail(fmt::format("{}{}: {}", reference.repo,
                            from.complete ? "" : " (what is in the cache of it)",
                            choice.error().message));
  };
  RIDGELINE_TRY(ModelChoice choice, choose(listing));
  const auto is_missing = [&](const RepoFile& f) { return !cache.has(listing.commit, f); };
  // Without a network a model that is there is better than a preferred one that is not. A
  // folder has all its parts or is none.
  if (!lookup.may_download() && reference.selector.empty() && !choice.entry.empty() &&
      std::ranges::any_of(choice.files, is_missing)) {
    RIDGELINE_TRY(choice, choose(present(listing, cache)));
  }
  std::vector<RepoFile> missing;
  std::ranges::copy_if(choice.files, std::back_inserter(missing), is_missing);
  if (!missing.empty()) {
    if (!lookup.may_download())
      return fail(fmt::format("{}: {} is not in the cache {}, and {}", reference.repo,
                              missing.front().path, settings.cache_folder,
                              settings.offline ? "HF_HUB_OFFLINE forbids to download it"
                                               : "the hub cannot be reached"));
    RIDGELINE_TRY_STATUS(
        fetch_missing(reference, listing, std::move(missing), cache, settings, events));
  }
  if (lookup.may_download()) {
    cache.keep_commit(reference.revision, listing.commit);
    if (listing.complete && !cache.listing(listing.commit)) cache.keep_listing(listing);
  }
  return cache.snapshot_path(listing.commit, choice.entry);
}

Result<RepoListing> list_repo(const HubReference& reference, const HubSettings& settings,
                              const FetchEvents& events) {
  return Lookup(reference, settings, events).listing();
}

}  // namespace ridgeline::hub
