#include "ridgeline/tools/hub/repo_listing.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "ridgeline/tools/hub/hub_reference.h"

namespace ridgeline::hub {
namespace {

using Json = nlohmann::json;

constexpr int kTreeCacheVersion = 1;
/// Nothing that is a model has a file larger than this; sums stay far from overflow.
constexpr std::uint64_t kFileBytesMax = std::uint64_t{1} << 50;

std::optional<std::string> text_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return std::nullopt;
  return found->get<std::string>();
}

std::optional<std::uint64_t> size_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_unsigned()) return std::nullopt;
  const auto size = found->get<std::uint64_t>();
  return size <= kFileBytesMax ? std::optional(size) : std::nullopt;
}

bool is_sha256(std::string_view text) { return text.size() == 64 && is_lower_hex(text); }

bool is_valid(const RepoFile& f) {
  return is_safe_path(f.path) && f.blob_id.size() == 40 && is_lower_hex(f.blob_id) &&
         (f.lfs_sha256.empty() || is_sha256(f.lfs_sha256));
}

}  // namespace

const RepoFile* RepoListing::find(std::string_view path) const {
  const auto found = std::ranges::find(files, path, &RepoFile::path);
  return found == files.end() ? nullptr : &*found;
}

Result<std::vector<RepoFile>> parse_tree_page(std::string_view text) {
  const Json page = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!page.is_array()) return fail("the hub's list of files is no JSON array");
  std::vector<RepoFile> files;
  for (const Json& entry : page) {
    if (!entry.is_object()) return fail("the hub's list of files has an entry that is no object");
    if (text_of(entry, "type") != "file") continue;
    RepoFile f;
    f.path = text_of(entry, "path").value_or("");
    f.blob_id = text_of(entry, "oid").value_or("");
    std::optional<std::uint64_t> size = size_of(entry, "size");
    if (const auto lfs = entry.find("lfs"); lfs != entry.end() && lfs->is_object()) {
      f.lfs_sha256 = text_of(*lfs, "oid").value_or("-");
      size = size_of(*lfs, "size");
    }
    f.xet_hash = text_of(entry, "xetHash").value_or("");
    if (!is_sha256(f.xet_hash)) f.xet_hash.clear();
    f.size = size.value_or(0);
    if (!is_valid(f) || !size)
      return fail(fmt::format("the hub lists a file {} of which path, size or hash cannot be right",
                              Json(f.path).dump(-1, ' ', true, Json::error_handler_t::replace)));
    files.push_back(std::move(f));
  }
  return files;
}

std::string to_tree_cache(const RepoListing& listing) {
  Json files = Json::object();
  for (const RepoFile& f : listing.files) {
    Json entry{{"size", f.size}, {"blob_id", f.blob_id}};
    if (!f.lfs_sha256.empty()) {
      entry["lfs_sha256"] = f.lfs_sha256;
      entry["lfs_size"] = f.size;
    }
    if (!f.xet_hash.empty()) entry["xet_hash"] = f.xet_hash;
    files[f.path] = std::move(entry);
  }
  return Json{{"format_version", kTreeCacheVersion}, {"files", std::move(files)}}.dump(
      1, ' ', false, Json::error_handler_t::replace);
}

std::optional<RepoListing> from_tree_cache(std::string_view text, std::string_view commit) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || json.value("format_version", Json()) != kTreeCacheVersion)
    return std::nullopt;
  const auto files = json.find("files");
  if (files == json.end() || !files->is_object()) return std::nullopt;
  RepoListing listing{std::string(commit), {}, true};
  for (const auto& [path, entry] : files->items()) {
    if (!entry.is_object()) return std::nullopt;
    const bool lfs = text_of(entry, "lfs_sha256").has_value();
    const auto size = size_of(entry, lfs ? "lfs_size" : "size");
    RepoFile f{path, size.value_or(0), text_of(entry, "blob_id").value_or(""),
               text_of(entry, "lfs_sha256").value_or(""), text_of(entry, "xet_hash").value_or("")};
    if (!is_valid(f) || !size) return std::nullopt;
    listing.files.push_back(std::move(f));
  }
  return listing;
}

}  // namespace ridgeline::hub
