#include "ridgeline/text/byte_level_map.h"

#include <array>

#include "ridgeline/text/utf8.h"

namespace ridgeline {
namespace {

constexpr char32_t kFirstShifted = 0x100;
constexpr int kNumShifted = 68;

// The bytes that stand for themselves: '!'..'~', U+00A1..U+00AC, U+00AE..U+00FF.
constexpr bool is_visible(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
}

struct Maps {
  std::array<char32_t, 256> symbol_of_byte{};
  std::array<std::uint8_t, kNumShifted> byte_of_shifted{};
};

constexpr Maps make_maps() {
  Maps maps;
  std::size_t num_shifted = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const auto index = static_cast<std::size_t>(byte);
    if (is_visible(byte)) {
      maps.symbol_of_byte[index] = static_cast<char32_t>(byte);
    } else {
      maps.symbol_of_byte[index] = kFirstShifted + static_cast<char32_t>(num_shifted);
      maps.byte_of_shifted[num_shifted++] = static_cast<std::uint8_t>(byte);
    }
  }
  return maps;
}

constexpr Maps kMaps = make_maps();

}  // namespace

char32_t byte_level_symbol(std::uint8_t byte) { return kMaps.symbol_of_byte[byte]; }

bool append_byte_level_decoded(std::string_view token_text, std::string& bytes) {
  const std::size_t begin = bytes.size();
  for (std::size_t at = 0; at < token_text.size();) {
    const auto first = static_cast<unsigned char>(token_text[at]);
    if (first < 0x80 && is_visible(first)) {
      bytes.push_back(token_text[at++]);
      continue;
    }
    const Utf8Step step = utf8_step(token_text.substr(at));
    const char32_t symbol = step.code_point;
    if (step.status == Utf8Step::Status::kCharacter && symbol < kFirstShifted &&
        is_visible(static_cast<int>(symbol))) {
      bytes.push_back(static_cast<char>(symbol));
    } else if (step.status == Utf8Step::Status::kCharacter && symbol >= kFirstShifted &&
               symbol < kFirstShifted + kNumShifted) {
      bytes.push_back(static_cast<char>(kMaps.byte_of_shifted[symbol - kFirstShifted]));
    } else {
      bytes.resize(begin);
      return false;
    }
    at += step.length_bytes;
  }
  return true;
}

std::optional<std::string> byte_level_decode(std::string_view token_text) {
  std::string bytes;
  bytes.reserve(token_text.size());
  if (!append_byte_level_decoded(token_text, bytes)) return std::nullopt;
  return bytes;
}

}  // namespace ridgeline
