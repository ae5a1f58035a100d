#include "ridgeline/engine/speculation/draft_cache.h"

#include <algorithm>
#include <string>

namespace ridgeline {

std::int64_t DraftCache::common(const Sequence& s, std::span<const TokenId> tokens) {
  // Tokens are only ever appended, so those known agree.
  const auto size = static_cast<std::int64_t>(tokens.size());
  std::int64_t same = s.known <= size ? s.known : 0;
  const std::int64_t most = std::min(size, static_cast<std::int64_t>(s.tokens.size()));
  while (same < most &&
         s.tokens[static_cast<std::size_t>(same)] == tokens[static_cast<std::size_t>(same)])
    ++same;
  return same;
}

std::int64_t DraftCache::missing(std::uint64_t id, std::span<const TokenId> tokens) const {
  const auto size = static_cast<std::int64_t>(tokens.size());
  const auto found = sequences_.find(id);
  if (found == sequences_.end()) return size;
  return size - std::min({found->second.computed, common(found->second, tokens), size - 1});
}

DraftCache::Sequence& DraftCache::follow(std::uint64_t id, std::span<const TokenId> tokens,
                                         bool shared) {
  // A salt that nobody else has keeps a sequence apart.
  const std::string salt = shared ? std::string() : "sequence " + std::to_string(id);
  Sequence& s = sequences_.try_emplace(id, pools_, salt).first->second;
  const auto size = static_cast<std::int64_t>(tokens.size());
  const std::int64_t same = common(s, tokens);
  s.tokens.resize(static_cast<std::size_t>(same));
  s.tokens.insert(s.tokens.end(), tokens.begin() + same, tokens.end());
  s.known = size;
  s.computed = std::min({s.computed, same, size - 1});
  s.blocks.truncate(s.computed);
  // Behind a window, what a row so far back sees may be gone.
  if (!s.blocks.holds(s.computed)) forget(s);
  if (s.computed == 0) find(s);
  return s;
}

void DraftCache::forget(Sequence& s) {
  s.blocks.clear();
  s.computed = s.published = 0;
}

void DraftCache::find(Sequence& s) {
  s.blocks.clear();
  s.keys.extend(std::span(s.tokens).first(static_cast<std::size_t>(s.known)));
  // The last token is computed at any rate.
  const auto most = static_cast<std::size_t>((s.known - 1) / kKvBlockTokens);
  s.computed = s.published = s.blocks.adopt(s.keys.keys().first(most));
}

bool DraftCache::reserve(Sequence& s, std::int64_t end, std::vector<BlockCopy>& copies) {
  s.turn = turn_;
  while (!s.blocks.can_advance(s.computed, end))
    if (!evict()) return false;
  s.blocks.advance(s.computed, end, copies);
  return true;
}

bool DraftCache::evict() {
  Sequence* oldest = nullptr;
  for (auto& [id, s] : sequences_)
    if (s.turn != turn_ && s.computed > 0 && (oldest == nullptr || s.used < oldest->used))
      oldest = &s;
  if (oldest == nullptr) return false;
  forget(*oldest);
  return true;
}

void DraftCache::advance(Sequence& s, std::int64_t end) {
  s.computed = end;
  const std::int64_t certain = std::min(s.computed, s.known);
  if (certain / kKvBlockTokens <= s.published / kKvBlockTokens) return;
  s.keys.extend(std::span(s.tokens).first(static_cast<std::size_t>(certain)));
  s.blocks.publish(s.keys.keys(), s.published, certain);
  s.published = certain;
}

}  // namespace ridgeline
