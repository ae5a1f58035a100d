#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "ridgeline/tools/hub/blob_hasher.h"
#include "ridgeline/tools/hub/repo_listing.h"
#include "tests/support/http_server.h"

namespace ridgeline::test {

/// Bytes that no two of its places have in common for long, the same each time.
inline std::string noise(std::size_t size, std::uint64_t seed) {
  std::string text(size, '\0');
  std::uint64_t state = seed * 2 + 1;
  for (char& c : text) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    c = static_cast<char>(state >> 56);
  }
  return text;
}

/// One repository of a hub, well behaved but for what `fault` answers in its place.
class FakeHub {
 public:
  static constexpr const char* kCommit = "0123456789abcdef0123456789abcdef01234567";

  std::string repo = "owner/model";
  std::string commit = kCommit;
  std::size_t page_size = 1000;
  std::function<std::optional<HttpReply>(const HttpRequest&)> fault;

  void add(const std::string& path, std::string content, bool lfs = true) {
    hub::RepoFile file{path, content.size(), std::string(40, '0'), "", ""};
    if (lfs) file.lfs_sha256 = std::string(64, '0');
    hub::BlobHasher hasher(file);
    hasher.update(std::as_bytes(std::span(content)));
    (lfs ? file.lfs_sha256 : file.blob_id) = hasher.finish();
    contents_[path] = {file, std::move(content)};
  }
  const hub::RepoFile& file(const std::string& path) const { return contents_.at(path).first; }
  const std::string& content(const std::string& path) const { return contents_.at(path).second; }

  HttpReply operator()(const HttpRequest& request) const {
    if (fault)
      if (std::optional<HttpReply> reply = fault(request)) return *std::move(reply);
    const std::string api = "/api/models/" + repo,
                      resolve = "/" + repo + "/resolve/" + commit + "/";
    if (request.path.starts_with(api + "/revision/"))
      return {200, {}, nlohmann::json{{"sha", commit}, {"id", repo}}.dump()};
    if (request.path == api + "/tree/" + commit) return tree(request);
    if (request.path.starts_with(resolve))
      return serve(request, request.path.substr(resolve.size()));
    return {404, {{"X-Error-Code", "RepoNotFound"}}};
  }

  /// A file or a range of it.
  HttpReply serve(const HttpRequest& request, const std::string& path) const {
    const auto found = contents_.find(path);
    if (found == contents_.end()) return {404, {{"X-Error-Code", "EntryNotFound"}}};
    const std::string& content = found->second.second;
    const auto range = request.range();
    if (!range) return {200, {}, content};
    const auto [first, last] = *range;
    return {206,
            {{"Content-Range", "bytes " + std::to_string(first) + "-" + std::to_string(last) + "/" +
                                   std::to_string(content.size())}},
            content.substr(first, last - first + 1)};
  }

 private:
  HttpReply tree(const HttpRequest& request) const {
    std::size_t start = 0;
    if (const std::size_t at = request.query.find("cursor="); at != std::string::npos)
      start = std::stoul(request.query.substr(at + 7));
    nlohmann::json page = nlohmann::json::array();
    page.push_back({{"type", "directory"}, {"path", "folder"}, {"oid", std::string(40, 'd')}});
    std::size_t i = 0;
    for (const auto& [path, entry] : contents_) {
      if (i++ < start || i > start + page_size) continue;
      const hub::RepoFile& f = entry.first;
      page.push_back({{"type", "file"}, {"path", path}, {"size", f.size}, {"oid", f.blob_id}});
      if (!f.lfs_sha256.empty())
        page.back()["lfs"] = {{"oid", f.lfs_sha256}, {"size", f.size}, {"pointerSize", 134}};
    }
    HttpReply reply{200, {}, page.dump()};
    if (start + page_size < contents_.size())
      reply.headers.emplace_back("Link", "<" + request.path + "?recursive=true&cursor=" +
                                             std::to_string(start + page_size) + ">; rel=\"next\"");
    return reply;
  }

  std::map<std::string, std::pair<hub::RepoFile, std::string>> contents_;
};

}  // namespace ridgeline::test
