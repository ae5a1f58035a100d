#include "ridgeline/text/utf8.h"

#include <cstring>

namespace ridgeline {
namespace {

// What Unicode 15's table 3-7 says of a lead byte: the sequence's length, and the
// range of the second byte, where overlong forms, surrogates and values above
// U+10FFFF are excluded. Further bytes are 80..BF.
struct LeadByte {
  std::uint8_t length_bytes;  // 0: no lead byte
  std::uint8_t second_min, second_max;
};

LeadByte lead_byte(unsigned char byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xC2) return {0, 0, 0};
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

}  // namespace

Utf8Step utf8_step(std::string_view text) {
  using Status = Utf8Step::Status;
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return {Status::kCharacter, 1, first};
  const LeadByte lead = lead_byte(first);
  if (lead.length_bytes == 0) return {Status::kInvalid, 1, kReplacementCharacter};
  auto code_point = static_cast<char32_t>(first & (0x7Fu >> lead.length_bytes));
  for (std::uint8_t i = 1; i < lead.length_bytes; ++i) {
    if (i == text.size()) return {Status::kTruncated, i, kReplacementCharacter};
    const auto byte = static_cast<unsigned char>(text[i]);
    const unsigned char min = i == 1 ? lead.second_min : 0x80;
    const unsigned char max = i == 1 ? lead.second_max : 0xBF;
    if (byte < min || byte > max) return {Status::kInvalid, i, kReplacementCharacter};
    code_point = (code_point << 6) | (byte & 0x3Fu);
  }
  return {Status::kCharacter, lead.length_bytes, code_point};
}

std::size_t utf8_valid_prefix_bytes(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    // Eight bytes of ASCII at a time: what most text mostly is.
    std::uint64_t word = 0;
    while (text.size() - at >= sizeof word) {
      std::memcpy(&word, text.data() + at, sizeof word);
      if ((word & 0x8080808080808080u) != 0) break;
      at += sizeof word;
    }
    if (at == text.size()) break;
    const Utf8Step step = utf8_step(text.substr(at));
    if (step.status != Utf8Step::Status::kCharacter) break;
    at += step.length_bytes;
  }
  return at;
}

std::size_t utf8_invalid_prefix_bytes(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const Utf8Step step = utf8_step(text.substr(at));
    if (step.status == Utf8Step::Status::kCharacter) break;
    at += step.length_bytes;
  }
  return at;
}

void append_utf8(char32_t code_point, std::string& text) {
  const auto push = [&text](char32_t byte) { text.push_back(static_cast<char>(byte)); };
  const auto trail = [&](int shift) { push(0x80 | ((code_point >> shift) & 0x3F)); };
  if (code_point < 0x80) {
    push(code_point);
  } else if (code_point < 0x800) {
    push(0xC0 | (code_point >> 6));
    trail(0);
  } else if (code_point < 0x10000) {
    push(0xE0 | (code_point >> 12));
    trail(6);
    trail(0);
  } else {
    push(0xF0 | (code_point >> 18));
    trail(12);
    trail(6);
    trail(0);
  }
}

}  // namespace ridgeline
