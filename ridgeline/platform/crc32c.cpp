#include "ridgeline/platform/crc32c.h"

#include <array>
#include <cstring>

namespace ridgeline {
namespace {

/// x^32 + x^28 + ... + 1 with bit 31 for x^0, as RFC 3720 appendix B.4 has it.
constexpr std::uint32_t kPolynomial = 0x82F63B78;
constexpr std::uint32_t kOne = std::uint32_t{1} << 31;

constexpr std::uint32_t times_x(std::uint32_t a) {
  return (a >> 1) ^ ((a & 1) != 0 ? kPolynomial : 0);
}

/// a b modulo the polynomial.
std::uint32_t multiply(std::uint32_t a, std::uint32_t b) {
  std::uint32_t product = 0;
  for (std::uint32_t bit = kOne; bit != 0; bit >>= 1, b = times_x(b))
    if ((a & bit) != 0) product ^= b;
  return product;
}

/// x^(8 bytes): what a CRC is multiplied by when so many bytes follow.
std::uint32_t shift_of(std::size_t bytes) {
  std::uint32_t power = kOne >> 8, result = kOne;
  for (; bytes != 0; bytes >>= 1, power = multiply(power, power))
    if ((bytes & 1) != 0) result = multiply(result, power);
  return result;
}

using Tables = std::array<std::array<std::uint32_t, 256>, 8>;

/// [n][b]: the CRC of the byte b and n zeros after it.
constexpr Tables make_tables() {
  Tables t{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = times_x(crc);
    t[0][i] = crc;
  }
  for (std::size_t n = 1; n < 8; ++n)
    for (std::size_t i = 0; i < 256; ++i) t[n][i] = (t[n - 1][i] >> 8) ^ t[0][t[n - 1][i] & 0xff];
  return t;
}
constexpr Tables kTables = make_tables();

/// Eight table look-ups a word, for CPUs without the instruction ("slicing by 8").
struct PortableStep {
  static std::uint32_t byte(std::uint32_t crc, std::uint8_t value) {
    return (crc >> 8) ^ kTables[0][(crc ^ value) & 0xff];
  }
  static std::uint32_t word(std::uint32_t crc, std::uint64_t value) {
    value ^= crc;
    std::uint32_t result = 0;
    for (std::size_t i = 0; i < 8; ++i) result ^= kTables[7 - i][(value >> (8 * i)) & 0xff];
    return result;
  }
};

#if defined(__x86_64__)
struct HardwareStep {
  // Not the intrinsics: they would want functions compiled for SSE 4.2.
  static std::uint32_t byte(std::uint32_t crc, std::uint8_t value) {
    asm("crc32b %1, %0" : "+r"(crc) : "rm"(value));
    return crc;
  }
  static std::uint32_t word(std::uint32_t crc, std::uint64_t value) {
    std::uint64_t wide = crc;
    asm("crc32q %1, %0" : "+r"(wide) : "rm"(value));
    return static_cast<std::uint32_t>(wide);
  }
};
#endif

std::uint64_t load_word(const std::byte* p) {
  std::uint64_t word;
  std::memcpy(&word, p, sizeof word);
  return word;
}

/// The instruction takes three cycles and one can start in each, so four quarters run
/// side by side; a CRC is linear, which lets their results be joined.
template <class Step>
std::uint32_t checksum(std::span<const std::byte> data) {
  constexpr std::size_t kQuarterBytesMin = 4096;  // joining costs about a microsecond
  std::uint32_t crc = ~std::uint32_t{0};
  const std::byte* p = data.data();
  const std::byte* const end = p + data.size();
  if (const std::size_t quarter = data.size() / 4 / 8 * 8; quarter >= kQuarterBytesMin) {
    std::uint32_t b = 0, c = 0, d = 0;
    for (std::size_t i = 0; i < quarter; i += 8) {
      crc = Step::word(crc, load_word(p + i));
      b = Step::word(b, load_word(p + quarter + i));
      c = Step::word(c, load_word(p + 2 * quarter + i));
      d = Step::word(d, load_word(p + 3 * quarter + i));
    }
    const std::uint32_t shift = shift_of(quarter);
    for (const std::uint32_t next : {b, c, d}) crc = multiply(crc, shift) ^ next;
    p += 4 * quarter;
  }
  for (; end - p >= 8; p += 8) crc = Step::word(crc, load_word(p));
  for (; p < end; ++p) crc = Step::byte(crc, static_cast<std::uint8_t>(*p));
  return ~crc;
}

}  // namespace

std::uint32_t crc32c(std::span<const std::byte> data) {
#if defined(__x86_64__)
  static const bool has_instruction = __builtin_cpu_supports("sse4.2") != 0;
  if (has_instruction) return checksum<HardwareStep>(data);
#endif
  return crc32c_portable(data);
}

std::uint32_t crc32c_portable(std::span<const std::byte> data) {
  return checksum<PortableStep>(data);
}

}  // namespace ridgeline
