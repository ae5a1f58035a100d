#include "ridgeline/tools/hub/hub_reference.h"

#include <fmt/format.h>

#include <algorithm>

namespace ridgeline::hub {
namespace {

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/// The hub's rule: letters, digits, '-', '_', '.', no "--" or "..", and neither at an end.
bool is_repo_part(std::string_view part) {
  constexpr std::size_t kLengthMax = 96;
  return !part.empty() && part.size() <= kLengthMax && is_word(part.front()) &&
         is_word(part.back()) && part.find("--") == part.npos && part.find("..") == part.npos &&
         std::ranges::all_of(part, [](char c) { return is_word(c) || c == '-' || c == '.'; });
}

bool is_repo(std::string_view repo) {
  const std::size_t slash = repo.find('/');
  if (slash == repo.npos) return is_repo_part(repo);
  return is_repo_part(repo.substr(0, slash)) && is_repo_part(repo.substr(slash + 1));
}

}  // namespace

bool is_lower_hex(std::string_view text) {
  return std::ranges::all_of(
      text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_commit(std::string_view revision) {
  return revision.size() == 40 && is_lower_hex(revision);
}

bool is_safe_path(std::string_view path) {
  constexpr std::size_t kPathMax = 1024, kPartMax = 255;
  if (path.empty() || path.size() > kPathMax) return false;
  if (std::ranges::any_of(path, [](char c) { return (c >= 0 && c < ' ') || c == '\x7f'; }))
    return false;
  while (true) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || part == "." || part == ".." || part.size() > kPartMax) return false;
    if (slash == path.npos) return true;
    path.remove_prefix(slash + 1);
  }
}

Result<HubReference> HubReference::parse(std::string_view text) {
  const std::string whole(text);
  if (text.starts_with(kScheme)) text.remove_prefix(kScheme.size());
  HubReference r;
  if (const std::size_t colon = text.find(':'); colon != text.npos) {
    r.selector = text.substr(colon + 1);
    text = text.substr(0, colon);
    if (!is_safe_path(r.selector))
      return fail(fmt::format("{}: '{}' is neither a file of a repository nor a quantization",
                              whole, r.selector));
  }
  if (const std::size_t at = text.find('@'); at != text.npos) {
    r.revision = text.substr(at + 1);
    text = text.substr(0, at);
    if (!is_safe_path(r.revision))
      return fail(fmt::format("{}: '{}' is no revision, expected a branch, a tag or a commit",
                              whole, r.revision));
  }
  r.repo = text;
  if (!is_repo(r.repo))
    return fail(
        fmt::format("{}: '{}' is no repository's name, expected hf:owner/repo[@revision][:file or "
                    "quantization]",
                    whole, r.repo));
  return r;
}

}  // namespace ridgeline::hub
