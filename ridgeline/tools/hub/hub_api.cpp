#include "ridgeline/tools/hub/hub_api.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

namespace ridgeline::hub {
namespace {

constexpr std::chrono::seconds kAnswerSecondsMax{120};
constexpr std::size_t kPageBytesMax = 32 << 20;
constexpr int kPagesMax = 1000;
constexpr std::size_t kFilesMax = 200'000;

/// The address in Link: <...>; rel="next".
std::string next_link(const std::string& header) {
  std::string_view rest = header;
  while (true) {
    const std::size_t open = rest.find('<'), close = rest.find('>');
    if (open == rest.npos || close == rest.npos || close < open) return "";
    const std::string_view url = rest.substr(open + 1, close - open - 1);
    rest.remove_prefix(close + 1);
    const std::string_view parameters = rest.substr(0, rest.find('<'));
    if (parameters.find("rel=\"next\"") != parameters.npos ||
        parameters.find("rel=next") != parameters.npos)
      return std::string(url);
  }
}

HubError unreachable(std::string message) { return {std::move(message), true}; }

}  // namespace

bool is_passing(long status) { return status == 408 || status == 429 || status >= 500; }

std::optional<std::chrono::milliseconds> Backoff::after(int failures, const HttpHead& head) const {
  if (failures >= settings_.attempts) return std::nullopt;
  auto time = settings_.backoff;
  for (int i = 1; i < failures && time < settings_.backoff_max; ++i) time *= 2;
  time = std::min(time, settings_.backoff_max);
  if (const auto asked = head.retry_after()) {
    if (*asked > settings_.backoff_max) return std::nullopt;
    time = std::max(time, std::chrono::milliseconds(*asked));
  }
  return time;
}

bool sleep_unless_stopped(const HubSettings& settings, std::chrono::milliseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (!settings.stopped()) {
    const auto left = end - std::chrono::steady_clock::now();
    if (left <= left.zero()) return true;
    std::this_thread::sleep_for(
        std::min<std::chrono::nanoseconds>(left, std::chrono::milliseconds(50)));
  }
  return false;
}

std::string refusal(const HttpHead& head, const HubSettings& settings, const std::string& repo,
                    const std::string& what) {
  if (!same_origin(head.url, settings.endpoint))
    return fmt::format("{}: {} answers with status {}", what, without_query(head.url), head.status);
  // The hub says "not found" for a private repository too, and 401 for one that is not
  // there, so that nobody learns which it is; its own code tells gated ones apart.
  const std::string code = head.header("x-error-code");
  const bool gated = code == "GatedRepo";
  const std::string how_to_give =
      fmt::format("set HF_TOKEN, or write the token to {}", settings.token_path);
  if (gated || head.status == 403) {
    const std::string page = settings.endpoint + "/" + repo;
    if (settings.token.empty())
      return fmt::format(
          "{}: the repository is open only to those who accepted its conditions: accept them at "
          "{}, and {}",
          what, page, how_to_give);
    return fmt::format(
        "{}: the account of this token has no access ({}): accept the conditions at {}, and see "
        "that the token may read gated repositories",
        what, head.status, page);
  }
  if (head.status == 401 && settings.token.empty())
    return fmt::format(
        "{}: there is no such repository, or it is private ({}): check the name, or {}", what,
        head.status, how_to_give);
  if (head.status == 401)
    return fmt::format("{}: the hub does not accept the token ({}): {} anew", what, head.status,
                       how_to_give);
  if (head.status == 404 && code == "RevisionNotFound")
    return fmt::format("{}: the repository has no such revision", what);
  if (head.status == 404)
    return fmt::format("{}: not found at {}{}", what, settings.endpoint,
                       settings.token.empty() ? ", or private" : "");
  const auto retry = head.retry_after();
  if (head.status == 429)
    return fmt::format("{}: the hub refuses so many requests (429){}", what,
                       retry ? fmt::format("; it asks for a pause of {} s", retry->count()) : "");
  return fmt::format("{}: {} answers with status {}", what, settings.endpoint, head.status);
}

std::string file_url(const HubSettings& settings, const std::string& repo,
                     const std::string& commit, const std::string& path) {
  return fmt::format("{}/{}/resolve/{}/{}", settings.endpoint, url_encoded(repo, true), commit,
                     url_encoded(path, true));
}

HubApi::HubApi(const HubSettings& settings)
    : settings_(settings), client_(settings, [&settings] { return settings.stopped(); }) {}

HubResult<HubApi::Page> HubApi::get(const std::string& url, const std::string& repo,
                                    const std::string& what) {
  const Backoff backoff(settings_);
  for (int failures = 1;; ++failures) {
    Page page;
    bool too_long = false;
    const HttpReceiver receiver{[](const HttpHead&) { return true; },
                                [&](std::span<const std::byte> bytes) {
                                  too_long = page.text.size() + bytes.size() > kPageBytesMax;
                                  if (!too_long)
                                    page.text.append(reinterpret_cast<const char*>(bytes.data()),
                                                     bytes.size());
                                  return !too_long;
                                }};
    const HttpOutcome outcome = client_.get({url, std::nullopt, kAnswerSecondsMax}, receiver);
    using Kind = HttpOutcome::Kind;
    if (settings_.stopped()) return tl::unexpected(HubError{what + ": interrupted"});
    if (too_long)
      return tl::unexpected(HubError{
          fmt::format("{}: the hub's answer is longer than {} MiB", what, kPageBytesMax >> 20)});
    if (outcome.kind == Kind::kAnswered && outcome.head.status == 200) {
      if (const std::string link = next_link(outcome.head.header("link")); !link.empty())
        page.next = resolved_url(outcome.head.url, link);
      return page;
    }
    const bool passing = outcome.kind == Kind::kBroken ||
                         (outcome.kind == Kind::kAnswered && is_passing(outcome.head.status));
    std::string message =
        outcome.kind == Kind::kAnswered
            ? refusal(outcome.head, settings_, repo, what)
            : fmt::format("{}: cannot reach {}: {}", what, settings_.endpoint, outcome.message);
    // Where nothing was answered, a proxy or a certificate is in the way.
    if (!passing)
      return tl::unexpected(HubError{std::move(message), outcome.kind != Kind::kAnswered});
    const auto pause = backoff.after(failures, outcome.head);
    if (!pause) return tl::unexpected(unreachable(std::move(message)));
    sleep_unless_stopped(settings_, *pause);
  }
}

HubResult<std::string> HubApi::commit_of(const HubReference& reference) {
  const std::string what = fmt::format("{} at {}", reference.repo, reference.revision);
  RIDGELINE_TRY(const Page page, get(fmt::format("{}/api/models/{}/revision/{}", settings_.endpoint,
                                                 url_encoded(reference.repo, true),
                                                 url_encoded(reference.revision, false)),
                                     reference.repo, what));
  const auto json = nlohmann::json::parse(page.text, nullptr, /*allow_exceptions=*/false);
  std::string commit;
  if (json.is_object())
    if (const auto sha = json.find("sha"); sha != json.end() && sha->is_string())
      commit = sha->get<std::string>();
  if (!is_commit(commit))
    return tl::unexpected(unreachable(
        fmt::format("{}: {} does not answer as a Hugging Face hub does: no commit is named", what,
                    settings_.endpoint)));
  return commit;
}

HubResult<RepoListing> HubApi::list(const std::string& repo, const std::string& commit) {
  RepoListing listing{commit, {}, true};
  std::string url = fmt::format("{}/api/models/{}/tree/{}?recursive=true&expand=false",
                                settings_.endpoint, url_encoded(repo, true), commit);
  for (int pages = 0; !url.empty(); ++pages) {
    if (pages == kPagesMax || listing.files.size() > kFilesMax)
      return tl::unexpected(HubError{fmt::format("{}: the list of its files has no end", repo)});
    RIDGELINE_TRY(const Page page, get(url, repo, repo));
    auto files = parse_tree_page(page.text);
    if (!files) return tl::unexpected(HubError{repo + ": " + files.error().message});
    std::ranges::move(*files, std::back_inserter(listing.files));
    url = page.next;
  }
  std::ranges::sort(listing.files, {}, &RepoFile::path);
  if (std::ranges::adjacent_find(listing.files, {}, &RepoFile::path) != listing.files.end())
    return tl::unexpected(HubError{repo + ": the hub lists a file twice"});
  return listing;
}

}  // namespace ridgeline::hub
