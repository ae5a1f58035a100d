#include "ridgeline/engine/speculation/ngram_index.h"

#include <algorithm>
#include <bit>

namespace ridgeline {
namespace {

constexpr int kFewestBits = 8;

/// Fibonacci hashing (Knuth, volume 3, section 6.4): the high bits of the product are good.
std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  std::uint64_t h = (a ^ (b + 0x9e3779b97f4a7c15u + (a << 6) + (a >> 2))) * 0x9e3779b97f4a7c15u;
  return h ^ (h >> 29);
}

std::uint64_t hash1(const TokenId* end) { return static_cast<std::uint32_t>(end[-1]); }
std::uint64_t hash2(const TokenId* end) {
  return mix(static_cast<std::uint32_t>(end[-2]), static_cast<std::uint32_t>(end[-1]));
}
std::uint64_t hash4(const TokenId* end) { return mix(hash2(end - 2), hash2(end)); }
std::uint64_t hash8(const TokenId* end) { return mix(hash4(end - 4), hash4(end)); }

}  // namespace

std::int64_t common_suffix(std::span<const TokenId> a, std::span<const TokenId> b,
                           std::int64_t most) {
  most = std::min({most, std::ssize(a), std::ssize(b)});
  std::int64_t n = 0;
  while (n < most && *(a.end() - n - 1) == *(b.end() - n - 1)) ++n;
  return n;
}

std::size_t NgramIndex::bucket(int level, const TokenId* end) const {
  const std::uint64_t h = level == 0   ? hash1(end)
                          : level == 1 ? hash2(end)
                          : level == 2 ? hash4(end)
                                       : hash8(end);
  return static_cast<std::size_t>((h * 0x9e3779b97f4a7c15u) >> (64 - bits_));
}

void NgramIndex::insert(int level, std::span<const TokenId> text, std::int64_t begin,
                        std::int64_t end) {
  Level& l = levels_[static_cast<std::size_t>(level)];
  begin = std::max<std::int64_t>(begin, kTokens[static_cast<std::size_t>(level)]);
  for (std::int64_t place = begin; place < end; ++place) {
    std::int32_t& last = l.last[bucket(level, text.data() + place)];
    l.before[static_cast<std::size_t>(place)] = last;
    last = static_cast<std::int32_t>(place);
  }
}

void NgramIndex::extend(std::span<const TokenId> text) {
  const std::int64_t end = std::ssize(text) + 1;
  std::int64_t begin = size_ + 1;
  if (begin >= end) return;
  const int bits =
      std::max(kFewestBits, static_cast<int>(std::bit_width(static_cast<std::uint64_t>(end - 1))));
  const bool grow = bits > bits_;
  if (grow) {
    bits_ = bits;
    begin = 1;
  }
  for (int level = 0; level < kLevels; ++level) {
    Level& l = levels_[static_cast<std::size_t>(level)];
    if (grow) {
      l.last.assign(std::size_t{1} << bits_, 0);
      l.before.clear();  // nothing is to be copied
      l.before.reserve(std::size_t{1} << bits_);
    }
    l.before.resize(static_cast<std::size_t>(end));
    insert(level, text, begin, end);
  }
  size_ = std::ssize(text);
}

TextMatch NgramIndex::find(std::span<const TokenId> text, std::span<const TokenId> query) const {
  TextMatch best;
  if (size_ == 0) return best;
  std::int64_t enough = kLongest;  // nothing longer will be found
  for (int level = kLevels - 1; level >= 0 && best.length == 0; --level) {
    const int n = kTokens[static_cast<std::size_t>(level)];
    const Level& l = levels_[static_cast<std::size_t>(level)];
    if (std::ssize(query) < n) continue;
    std::int64_t place = l.last[bucket(level, query.data() + query.size())];
    for (int i = 0; i < kCandidates && place > best.length && best.length < enough; ++i) {
      // A longer match has an equal token where the best one so far ended.
      if (best.length == 0 || (best.length < std::ssize(query) &&
                               text[static_cast<std::size_t>(place - best.length - 1)] ==
                                   *(query.end() - best.length - 1))) {
        const std::int64_t length =
            common_suffix(text.first(static_cast<std::size_t>(place)), query, kLongest);
        if (length >= n && length > best.length) best = {place, length};
      }
      place = l.before[static_cast<std::size_t>(place)];
    }
    enough = n - 1;
  }
  return best;
}

std::size_t NgramIndex::bytes() const {
  std::size_t sum = 0;
  for (const Level& l : levels_)
    sum += (l.last.capacity() + l.before.capacity()) * sizeof(std::int32_t);
  return sum;
}

}  // namespace ridgeline
