#include "ridgeline/server/limits/key_file.h"

#include <fmt/format.h>
#include <openssl/sha.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace ridgeline {
namespace {

// A key is as good as it is hard to guess: below this it is a word.
constexpr std::size_t kKeyCharsMin = 16;
constexpr std::size_t kKeyCharsMax = 512;
constexpr std::size_t kNameCharsMax = 64;
constexpr std::size_t kKeysMax = 10'000;  // each request is compared with all of them
constexpr std::string_view kHashPrefix = "sha256:";

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kNameCharsMax &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-' || c == '.';
         });
}

std::string_view take_word(std::string_view& line) {
  constexpr std::string_view kSpaces = " \t\r";
  line.remove_prefix(std::min(line.find_first_not_of(kSpaces), line.size()));
  const std::string_view word = line.substr(0, line.find_first_of(kSpaces));
  line.remove_prefix(word.size());
  return word;
}

template <class Integer>
std::optional<Integer> integer(std::string_view text) {
  Integer value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<Sha256> hash_in_hex(std::string_view hex) {
  Sha256 hash{};
  if (hex.size() != 2 * hash.size()) return std::nullopt;
  for (std::size_t i = 0; i < hash.size(); ++i) {
    const char* digits = hex.data() + 2 * i;
    const auto [end, error] = std::from_chars(digits, digits + 2, hash[i], 16);
    if (error != std::errc{} || end != digits + 2) return std::nullopt;
  }
  return hash;
}

/// "The key ..." continues a sentence that names the line; it must not quote the key.
Result<Sha256> parse_secret(std::string_view secret) {
  if (secret.empty()) return fail("the key is missing: expected 'NAME KEY [rpm=N] [tpm=N] ...'");
  if (secret.starts_with(kHashPrefix)) {
    const auto hash = hash_in_hex(secret.substr(kHashPrefix.size()));
    if (!hash) return fail("sha256: expected 64 hexadecimal digits after it");
    return *hash;
  }
  if (secret.size() < kKeyCharsMin || secret.size() > kKeyCharsMax) {
    return fail(fmt::format("the key has {} characters, expected {} to {}", secret.size(),
                            kKeyCharsMin, kKeyCharsMax));
  }
  if (!std::all_of(secret.begin(), secret.end(), [](char c) { return c > ' ' && c < 0x7f; })) {
    return fail("the key has characters that no HTTP header can carry, expected ASCII");
  }
  return sha256(secret);
}

/// A word that may be a misplaced key is not repeated in a message.
std::string quoted_if_harmless(std::string_view word) {
  const std::size_t equals = word.find('=');
  return equals != std::string_view::npos && is_name(word.substr(0, equals)) &&
                 word.size() < kKeyCharsMin
             ? fmt::format("'{}'", word)
             : "a word";
}

Status parse_option(std::string_view word, ApiKey& key) {
  constexpr std::string_view kExpected =
      "expected rpm=N, tpm=N, concurrent=N, priority=N or cache=private|shared";
  const std::size_t equals = word.find('=');
  if (equals == std::string_view::npos) {
    return fail(fmt::format("a word after the key has no '=', {}", kExpected));
  }
  const std::string_view option = word.substr(0, equals);
  const std::string_view value = word.substr(equals + 1);
  if (option == "cache") {
    if (value != "private" && value != "shared") {
      return fail(fmt::format("cache is {}, expected private or shared",
                              is_name(value) && value.size() < kKeyCharsMin ? value : "unknown"));
    }
    key.private_cache = value == "private";
    return {};
  }
  if (option == "priority") {
    const auto number = integer<int>(value);
    if (!number) return fail("priority: expected an integer");
    key.priority = *number;
    return {};
  }
  std::int64_t* limit = option == "rpm"          ? &key.limits.requests_per_minute
                        : option == "tpm"        ? &key.limits.tokens_per_minute
                        : option == "concurrent" ? &key.limits.concurrent_requests
                                                 : nullptr;
  if (limit == nullptr)
    return fail(fmt::format("{} is no option, {}", quoted_if_harmless(word), kExpected));
  const auto number = integer<std::int64_t>(value);
  // Beyond 2^53 the buckets, which are doubles, no longer count by one.
  if (!number || *number < 1 || *number > (std::int64_t{1} << 53)) {
    return fail(
        fmt::format("{}: expected a positive integer; without it there is no limit", option));
  }
  *limit = *number;
  return {};
}

Result<HashedKey> parse_line(std::string_view line) {
  HashedKey entry;
  const std::string_view name = take_word(line);
  if (!is_name(name)) {
    return fail(fmt::format(
        "the name has {} characters, expected 1 to {}: letters, digits, '_', '-' and '.'",
        name.size(), kNameCharsMax));
  }
  entry.key.name = name;
  const Sha256 id = sha256(name);
  std::memcpy(&entry.key.tenant, id.data(), sizeof entry.key.tenant);
  RIDGELINE_TRY(entry.hash, parse_secret(take_word(line)));
  for (;;) {
    const std::string_view word = take_word(line);
    if (word.empty() || word.front() == '#') return entry;
    RIDGELINE_TRY_STATUS(parse_option(word, entry.key));
  }
}

}  // namespace

Sha256 sha256(std::string_view text) {
  Sha256 hash{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), hash.data());
  return hash;
}

Result<std::vector<HashedKey>> parse_key_file(std::string_view text, const std::string& path) {
  std::vector<HashedKey> keys;
  std::set<std::string> names;
  std::map<Sha256, std::string> owners;
  for (int number = 1; !text.empty(); ++number) {
    const auto wrong = [&](std::string_view what) {
      return fail(fmt::format("{}: line {}: {}", path, number, what));
    };
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    std::string_view rest = line;
    const std::string_view first = take_word(rest);
    if (first.empty() || first.front() == '#') continue;

    auto entry = parse_line(line);
    if (!entry) return wrong(entry.error().message);
    const std::string& name = entry->key.name;
    if (!names.insert(name).second) return wrong(fmt::format("a second key named '{}'", name));
    const auto [owner, is_new] = owners.emplace(entry->hash, name);
    if (!is_new) return wrong(fmt::format("'{}' has the same key as '{}'", name, owner->second));
    if (keys.size() == kKeysMax) return wrong(fmt::format("more than {} keys", kKeysMax));
    keys.push_back(std::move(*entry));
  }
  if (keys.empty()) return fail(fmt::format("{}: holds no key, so nobody could come in", path));
  return keys;
}

}  // namespace ridgeline
