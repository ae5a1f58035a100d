#include "ridgeline/tools/hub/hub_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <initializer_list>
#include <iterator>

namespace ridgeline::hub {
namespace {

/// The first of these variables that is set and not empty.
std::string environment(std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (const char* value = std::getenv(name); value != nullptr && *value != '\0') return value;
  return "";
}

std::string expanded(std::string path) {
  if (path == "~" || path.starts_with("~/")) path.replace(0, 1, environment({"HOME"}));
  return path;
}

bool is_true(std::string text) {
  std::ranges::transform(text, text.begin(), [](char c) {
    return static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  });
  return text == "1" || text == "ON" || text == "YES" || text == "TRUE";
}

std::string trimmed(const std::string& text) {
  constexpr const char* kSpace = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

Result<std::string> find_token(const std::string& path) {
  std::string token = trimmed(environment({"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}));
  std::string source = "HF_TOKEN";
  if (token.empty()) {
    constexpr std::size_t kBytesMax = 4096;
    std::ifstream file(path, std::ios::binary);
    std::string text(kBytesMax, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(file.gcount()));
    token = trimmed(text);
    source = path;
  }
  // It becomes part of a header.
  if (!std::ranges::all_of(token, [](char c) { return c > ' ' && c <= '~'; }))
    return fail(fmt::format("{}: the token has spaces or control characters in it", source));
  return token;
}

}  // namespace

Result<HubSettings> HubSettings::from_environment() {
  HubSettings s;
  if (const std::string endpoint = environment({"HF_ENDPOINT"}); !endpoint.empty())
    s.endpoint = endpoint;
  while (s.endpoint.ends_with('/')) s.endpoint.pop_back();
  if (!s.endpoint.starts_with("https://") && !s.endpoint.starts_with("http://"))
    return fail(
        fmt::format("HF_ENDPOINT {}: expected an address that begins with https://", s.endpoint));

  std::string home = expanded(environment({"HF_HOME"}));
  if (home.empty()) {
    std::string caches = expanded(environment({"XDG_CACHE_HOME"}));
    if (caches.empty()) caches = expanded("~/.cache");
    home = caches + "/huggingface";
  }
  s.cache_folder = expanded(environment({"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}));
  if (s.cache_folder.empty()) s.cache_folder = home + "/hub";
  s.token_path = expanded(environment({"HF_TOKEN_PATH"}));
  if (s.token_path.empty()) s.token_path = home + "/token";
  RIDGELINE_TRY(s.token, find_token(s.token_path));

  s.offline = is_true(environment({"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"}));
  s.ca_file = environment({"SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"});
  s.ca_folder = environment({"SSL_CERT_DIR"});
  if (const std::string text = environment({"HF_HUB_DOWNLOAD_TIMEOUT"}); !text.empty()) {
    int seconds = 0;
    const char* end = text.data() + text.size();
    if (std::from_chars(text.data(), end, seconds).ptr != end || seconds < 1 || seconds > 86400)
      return fail(fmt::format("HF_HUB_DOWNLOAD_TIMEOUT {}: expected seconds, 1 to 86400", text));
    s.stall_timeout = std::chrono::seconds(seconds);
  }
  return s;
}

}  // namespace ridgeline::hub
