#include "ridgeline/text/utf8.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <string_view>

#include "ridgeline/text/byte_level_map.h"

namespace ridgeline {
namespace {

using Status = Utf8Step::Status;

TEST(Utf8, EveryScalarValueComesBack) {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c == 0xD800) c = 0xE000;
    std::string text;
    append_utf8(c, text);
    const Utf8Step step = utf8_step(text);
    ASSERT_EQ(step.status, Status::kCharacter) << std::hex << static_cast<std::uint32_t>(c);
    ASSERT_EQ(step.code_point, c);
    ASSERT_EQ(step.length_bytes, text.size());
    for (std::size_t cut = 1; cut < text.size(); ++cut) {
      const Utf8Step part = utf8_step(std::string_view(text).substr(0, cut));
      ASSERT_EQ(part.status, Status::kTruncated);
      ASSERT_EQ(part.length_bytes, cut);
    }
  }
}

// Unicode 15, tables 3-8 to 3-11: how many U+FFFD ill-formed sequences make.
TEST(Utf8, MaximalSubpartsOfIllFormedText) {
  struct Case {
    std::string_view text;
    std::string_view lengths;  // of the steps; a digit each, '-' before a bad one
  };
  const Case cases[] = {
      {"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", "-1-1-1-1-1-1-1-11"},
      {"\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", "-1-1-1-1-1-1-1-11"},
      {"\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", "-1-1-1-1-11-1-11"},
      {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", "-2-1-3-21"},
  };
  for (const Case& c : cases) {
    std::string lengths;
    for (std::string_view rest = c.text; !rest.empty();) {
      const Utf8Step step = utf8_step(rest);
      if (step.status != Status::kCharacter) lengths += '-';
      lengths += std::to_string(step.length_bytes);
      rest.remove_prefix(step.length_bytes);
    }
    EXPECT_EQ(lengths, c.lengths);
  }
}

TEST(Utf8, PrefixesFindTheFirstBadByteWhereverItLies) {
  for (std::size_t at = 0; at < 40; ++at) {
    std::string text(40, 'x');
    text[at] = '\xFF';
    EXPECT_EQ(utf8_valid_prefix_bytes(text), at);
    EXPECT_EQ(utf8_invalid_prefix_bytes(std::string_view(text).substr(at)), 1u);
  }
  const std::string good = "a\u00e9\u4e2d\U0001f999" + std::string(1, '\0') + "z";
  EXPECT_EQ(utf8_valid_prefix_bytes(good), good.size());
  EXPECT_EQ(utf8_valid_prefix_bytes(""), 0u);
  EXPECT_EQ(utf8_valid_prefix_bytes("abcdefgh\xE4\xB8"), 8u);
  EXPECT_EQ(utf8_invalid_prefix_bytes("\xE4\xB8"), 2u);
}

TEST(ByteLevelMap, IsGpt2sAndReversible) {
  std::set<char32_t> symbols;
  for (int byte = 0; byte < 256; ++byte) {
    const char32_t symbol = byte_level_symbol(static_cast<std::uint8_t>(byte));
    symbols.insert(symbol);
    std::string text;
    append_utf8(symbol, text);
    EXPECT_EQ(byte_level_decode(text), std::string(1, static_cast<char>(byte)));
  }
  EXPECT_EQ(symbols.size(), 256u);
  EXPECT_EQ(byte_level_symbol(' '), U'\u0120');
  EXPECT_EQ(byte_level_symbol('\n'), U'\u010a');
  EXPECT_EQ(byte_level_symbol('A'), U'A');
  EXPECT_EQ(byte_level_symbol(0xAD), U'\u0143');
  EXPECT_EQ(byte_level_symbol(0xFF), U'\u00ff');
  EXPECT_EQ(byte_level_decode("a b"), std::nullopt);  // a space stands for no byte
  EXPECT_EQ(byte_level_decode("\u0144"), std::nullopt);
  EXPECT_EQ(byte_level_decode("\xFF"), std::nullopt);
  EXPECT_EQ(byte_level_decode(""), "");
}

}  // namespace
}  // namespace ridgeline
