#pragma once

#include <array>
#include <cstdint>

namespace ridgeline {

/// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11):
/// a keyed bijection of a 128-bit counter. Randomness is a function of what is being
/// decided, so nothing depends on the order in which sequences are sampled, and a position
/// can be sampled again (preemption, speculation).
using PhiloxCounter = std::array<std::uint32_t, 4>;
using PhiloxKey = std::array<std::uint32_t, 2>;

constexpr PhiloxCounter philox4x32(PhiloxCounter counter, PhiloxKey key) {
  constexpr std::uint64_t kMultiplier0 = 0xD2511F53, kMultiplier1 = 0xCD9E8D57;
  constexpr std::uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;
  constexpr int kRounds = 10;
  for (int round = 0; round < kRounds; ++round) {
    const std::uint64_t product0 = kMultiplier0 * counter[0];
    const std::uint64_t product1 = kMultiplier1 * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<std::uint32_t>(product0)};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return counter;
}

/// What a random number decides; every use of one position is independent of the others.
enum class RandomUse : std::uint32_t {
  kToken = 0,
  kDraft = 1,     ///< a draft's token, where it must not know the model's draw
  kAccept = 2,    ///< whether the rejection rule takes it
  kResidual = 3,  ///< and what it takes instead
};

/// Uniform on [0, 1), 53 bits, for one decision of one sequence.
constexpr double random_uniform(std::uint64_t seed, std::uint64_t output_position,
                                std::uint32_t choice, RandomUse use) {
  const PhiloxCounter bits = philox4x32(
      {static_cast<std::uint32_t>(output_position),
       static_cast<std::uint32_t>(output_position >> 32), choice, static_cast<std::uint32_t>(use)},
      {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
  const std::uint64_t mantissa = ((std::uint64_t{bits[0]} << 32) | bits[1]) >> 11;
  return static_cast<double>(mantissa) * 0x1p-53;
}

}  // namespace ridgeline
