#include "ridgeline/text/grammar/frames.h"

#include <algorithm>
#include <bit>

namespace ridgeline::grammar {

// Murmur3's finalizer (Appleby) over the sum of both.
std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  std::uint64_t h = a * 0x9E3779B97F4A7C15ULL + b + 0x7F4A7C159E3779B9ULL;
  h ^= h >> 33;
  h *= 0xFF51AFD7ED558CCDULL;
  h ^= h >> 33;
  h *= 0xC4CEB9FE1A85EC53ULL;
  return h ^ (h >> 33);
}

std::uint64_t hash_of(std::string_view text) {
  std::uint64_t h = mix(text.size(), 0x1B873593);
  for (const char c : text) h = mix(h, static_cast<unsigned char>(c));
  return h;
}

// Not by recursion: a list may be long.
Seen::~Seen() {
  SeenPtr next = std::move(before);
  while (next && next.use_count() == 1) {
    SeenPtr after = std::move(const_cast<Seen&>(*next).before);
    next = std::move(after);
  }
}

std::uint64_t pointer_hash(const void* pointer) {
  return static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(pointer));
}

FramePtr finished(Frame frame) {
  frame.depth = frame.below ? frame.below->depth + 1 : 1;
  std::uint64_t h = frame.below ? frame.below->hash : 1;
  h = mix(h, static_cast<std::uint64_t>(frame.kind));
  h = mix(h, pointer_hash(frame.program));
  h = mix(h, (std::uint64_t{frame.index} << 32) | frame.position);
  for (const std::uint64_t word : frame.fulfilled) h = mix(h, word);
  if (frame.seen) h = mix(h, frame.seen->hash);
  frame.hash = h;
  return std::make_shared<const Frame>(std::move(frame));
}

SeenPtr with(const SeenPtr& before, std::string text) {
  auto seen = std::make_shared<Seen>();
  seen->hash = hash_of(text) + (before ? before->hash : 0);
  seen->count = before ? before->count + 1 : 1;
  seen->text = std::move(text);
  seen->before = before;
  return seen;
}

bool contains(const Seen* seen, std::string_view text) {
  for (; seen != nullptr; seen = seen->before.get()) {
    if (seen->text == text) return true;
  }
  return false;
}

std::uint32_t num_seen(const Frame& frame) { return frame.seen ? frame.seen->count : 0; }

const JsonObject& object_of(const Frame& frame) { return frame.program->json.objects[frame.index]; }
const JsonArray& array_of(const Frame& frame) { return frame.program->json.arrays[frame.index]; }

std::uint32_t num_fulfilled(const Frame& frame) {
  int count = 0;
  for (const std::uint64_t word : frame.fulfilled) count += std::popcount(word);
  return static_cast<std::uint32_t>(count);
}
bool is_fulfilled(const Frame& frame, std::uint32_t bit) {
  return (frame.fulfilled[bit / 64] >> (bit % 64) & 1) != 0;
}
std::uint32_t num_open(const Frame& frame) {
  const std::size_t all = frame.kind == Frame::Kind::kObject ? object_of(frame).obligations.size()
                                                             : array_of(frame).witnesses.size();
  return static_cast<std::uint32_t>(all) - num_fulfilled(frame);
}

bool is_tight(const Frame& object) {
  const std::uint32_t max = object_of(object).max;
  return max != kNoLimit && max - num_seen(object) <= num_open(object);
}

bool may_have_another_key(const Frame& frame) {
  const JsonObject& object = object_of(frame);
  const std::uint32_t count = num_seen(frame);
  if (count >= std::min(object.max, kSeenMax) || object.keys->empty()) return false;
  const std::uint32_t names = object.keys->counts[0];
  return names == Dfa::kInfinite || names > count;
}

std::uint32_t count_cap(const JsonArray& array) {
  if (array.max != kNoLimit) return array.max;
  std::size_t cap = std::max<std::size_t>(array.min, array.items.prefix.size());
  for (const auto& witness : array.witnesses) cap = std::max(cap, witness.prefix.size());
  return static_cast<std::uint32_t>(std::min<std::size_t>(cap, kNoLimit - 1));
}

bool may_have_another_item(const Frame& frame) {
  const JsonArray& array = array_of(frame);
  if (array.max != kNoLimit && frame.position >= array.max) return false;
  const std::uint32_t value = array.items.at(frame.position);
  if (value == kNone) return false;
  if (!array.is_unique) return true;
  const JsonValue& v = frame.program->json.values[value];
  std::uint64_t count = 0;
  for (const DfaPtr& dfa : {v.bare, v.string}) {
    if (dfa->empty()) continue;
    if (dfa->counts[0] == Dfa::kInfinite) return num_seen(frame) < kSeenMax;
    count += dfa->counts[0];
  }
  return count > num_seen(frame) && num_seen(frame) < kSeenMax;
}

}  // namespace ridgeline::grammar
