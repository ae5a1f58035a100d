#include "ridgeline/tools/hub/hub_cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "ridgeline/platform/atomic_file.h"
#include "ridgeline/tools/hub/hub_reference.h"

namespace ridgeline::hub {
namespace {

namespace fs = std::filesystem;

/// "models--owner--name"
std::string folder_name(std::string repo) {
  if (const std::size_t slash = repo.find('/'); slash != repo.npos) repo.replace(slash, 1, "--");
  return "models--" + repo;
}

std::optional<std::string> read_bounded(const std::string& path, std::size_t bytes_max) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(path, error);
  if (error || size > bytes_max) return std::nullopt;
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

/// Readers see the old text or the new one.
bool write_whole(const std::string& path, const std::string& text) {
  std::error_code error;
  fs::create_directories(fs::path(path).parent_path(), error);
  auto file = AtomicFile::create(path, text.size());
  return file && file->write(0, std::as_bytes(std::span(text))) && file->publish();
}

Status make_folder(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return system_failure(path, "make the folder", error.value());
  return {};
}

}  // namespace

HubCache::HubCache(std::string cache_folder, const std::string& repo)
    : cache_folder_(std::move(cache_folder)),
      name_(folder_name(repo)),
      folder_(cache_folder_ + "/" + name_) {}

std::optional<std::string> HubCache::commit_of(const std::string& revision) const {
  constexpr std::size_t kBytesMax = 256;
  std::optional<std::string> text = read_bounded(folder_ + "/refs/" + revision, kBytesMax);
  if (!text) return std::nullopt;
  while (text->ends_with('\n')) text->pop_back();
  return is_commit(*text) ? text : std::nullopt;
}

std::optional<RepoListing> HubCache::listing(const std::string& commit) const {
  constexpr std::size_t kBytesMax = 256 << 20;
  const auto text = read_bounded(fmt::format("{}/trees/{}.json", folder_, commit), kBytesMax);
  return text ? from_tree_cache(*text, commit) : std::nullopt;
}

RepoListing HubCache::snapshot_listing(const std::string& commit) const {
  RepoListing listing{commit, {}, false};
  const fs::path root = snapshot_path(commit, "");
  std::error_code error;
  for (fs::recursive_directory_iterator it(root, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code unreadable;
    const std::uintmax_t size = fs::file_size(it->path(), unreadable);
    // A link to a blob that is gone has no size.
    if (unreadable || !fs::is_regular_file(it->path(), unreadable)) continue;
    RepoFile file;
    file.path = it->path().lexically_relative(root).generic_string();
    file.size = size;
    file.blob_id = fs::read_symlink(it->path(), unreadable).filename().string();
    listing.files.push_back(std::move(file));
  }
  std::ranges::sort(listing.files, {}, &RepoFile::path);
  return listing;
}

std::string HubCache::snapshot_path(const std::string& commit, const std::string& path) const {
  const std::string folder = fmt::format("{}/snapshots/{}", folder_, commit);
  return path.empty() ? folder : folder + "/" + path;
}

std::string HubCache::blob_path(const RepoFile& file) const {
  return folder_ + "/blobs/" + file.hash();
}

std::string HubCache::part_path(const RepoFile& file) const {
  return blob_path(file) + ".ridgeline.incomplete";
}

bool HubCache::has(const std::string& commit, const RepoFile& file) const {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(snapshot_path(commit, file.path), error);
  return !error && size == file.size;
}

Status HubCache::prepare() const {
  RIDGELINE_TRY_STATUS(make_folder(folder_ + "/blobs"));
  RIDGELINE_TRY_STATUS(make_folder(cache_folder_ + "/.locks/" + name_));
  // Tells backup programs that all this can be had again (bford.info/cachedir).
  const std::string tag = cache_folder_ + "/CACHEDIR.TAG";
  std::error_code error;
  if (!fs::exists(tag, error)) write_whole(tag, "Signature: 8a477f597d28d172789f06886806bc55\n");
  return {};
}

void HubCache::keep_commit(const std::string& revision, const std::string& commit) const {
  if (revision == commit || commit_of(revision) == commit) return;
  write_whole(folder_ + "/refs/" + revision, commit);
}

void HubCache::keep_listing(const RepoListing& listing) const {
  write_whole(fmt::format("{}/trees/{}.json", folder_, listing.commit), to_tree_cache(listing));
}

Status HubCache::link(const std::string& commit, const RepoFile& file) const {
  const fs::path path = snapshot_path(commit, file.path);
  RIDGELINE_TRY_STATUS(make_folder(path.parent_path().string()));
  const fs::path target = fs::path(blob_path(file)).lexically_relative(path.parent_path());
  // Another process may put the same link there: it replaces ours or ours its.
  const std::string temporary = fmt::format("{}.{}.tmp", path.string(), ::getpid());
  ::unlink(temporary.c_str());
  if (::symlink(target.c_str(), temporary.c_str()) != 0)
    return system_failure(path.string(), "make a symbolic link to the file's content", errno);
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary.c_str());
    return system_failure(path.string(), "put the file into the snapshot", error);
  }
  return {};
}

Result<FileDescriptor> HubCache::lock(const RepoFile& file,
                                      const std::function<bool()>& waiting) const {
  const std::string path = fmt::format("{}/.locks/{}/{}.lock", cache_folder_, name_, file.hash());
  constexpr std::chrono::milliseconds kPause{100};
  while (true) {
    FileDescriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0664));
    if (fd.get() < 0) return system_failure(path, "open the lock", errno);
    // Where the file system has no locks, two processes may download the same file twice.
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) {
      // Its last owner may have deleted it meanwhile, and the next would lock another.
      struct stat locked {};
      struct stat named {};
      if (::fstat(fd.get(), &locked) == 0 && ::stat(path.c_str(), &named) == 0 &&
          locked.st_ino == named.st_ino)
        return fd;
      continue;
    }
    if (!waiting()) return fail(fmt::format("{}: interrupted", file.path));
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace ridgeline::hub
