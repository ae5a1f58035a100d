// What is compiled once per instruction set gives the same bits on all of them, and no code
// of one can be merged into another by the linker.
#include "ridgeline/quant/isa.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "ridgeline/quant/half.h"
#include "ridgeline/tensor/dtype.h"
#include "tests/kernels/shell.h"

namespace ridgeline {
namespace {

struct Row {
  const char* name;
  std::vector<float> x;
};

/// Rows of 1024 on which a change of order would show: ties, zeros of both signs, elements of
/// equal magnitude, and what is not a number.
std::vector<Row> rows() {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<Row> all;
  const auto add = [&](const char* name, auto element) {
    Row row{name, std::vector<float>(1024)};
    for (std::size_t i = 0; i < row.x.size(); ++i) row.x[i] = element(i);
    all.push_back(std::move(row));
  };
  for (int i = 0; i < 8; ++i) add("normal", [&](std::size_t) { return normal(random); });
  add("ties", [&](std::size_t) { return static_cast<float>(random() % 255) / 2 - 63; });
  add("equal magnitudes", [&](std::size_t) { return random() % 2 == 0 ? 0.7f : -0.7f; });
  add("zeros", [&](std::size_t) { return random() % 2 == 0 ? 0.0f : -0.0f; });
  add("zeros and positive", [&](std::size_t) {
    return random() % 3 == 0 ? std::fabs(normal(random)) : (random() % 2 == 0 ? 0.0f : -0.0f);
  });
  add("denormal", [&](std::size_t) { return normal(random) * 1e-40f; });
  add("huge", [&](std::size_t) { return normal(random) * 1e37f; });
  add("sizes", [&](std::size_t i) { return std::ldexp(normal(random), static_cast<int>(i % 40)); });
  add("not numbers", [&](std::size_t i) { return i % 50 == 9 ? NAN : normal(random); });
  add("infinite", [&](std::size_t i) { return i % 50 == 9 ? -INFINITY : normal(random); });
  return all;
}

TEST(QuantIsa, RowsEncodeToTheSameBytes) {
  const QuantIsa& generic = quant_isas().back();
  ASSERT_EQ(generic.name, "generic");
  const std::pair<DType, RowCoders::Encode RowCoders::*> encoders[] = {
      {DType::kQ4_0, &RowCoders::q4_0}, {DType::kQ4_1, &RowCoders::q4_1},
      {DType::kQ5_0, &RowCoders::q5_0}, {DType::kQ5_1, &RowCoders::q5_1},
      {DType::kQ8_0, &RowCoders::q8_0},
  };
  for (const QuantIsa& isa : quant_isas())
    for (const Row& row : rows())
      for (const auto& [type, encode] : encoders) {
        std::vector<std::byte> expected(row_bytes(type, 1024)), blocks(expected.size());
        (generic.rows->*encode)(row.x.data(), 1024, expected.data());
        (isa.rows->*encode)(row.x.data(), 1024, blocks.data());
        EXPECT_EQ(blocks, expected) << isa.name << " " << name(type) << " " << row.name;
      }
}

/// Scales, offsets and levels of one block.
struct Fitted {
  float scale[16] = {}, min[16] = {};
  std::uint8_t levels[256] = {};
  bool operator==(const Fitted& other) const {
    return std::memcmp(scale, other.scale, sizeof scale) == 0 &&
           std::memcmp(min, other.min, sizeof min) == 0 &&
           std::memcmp(levels, other.levels, sizeof levels) == 0;
  }
};

std::vector<Fitted> fitted(const SubBlockFits& fits, const float* x) {
  std::vector<Fitted> out(5);
  fits.affine_32s(x, {.level_max = 15, .trials = 21, .first = -1.0f}, out[0].scale, out[0].min,
                  out[0].levels);
  fits.affine_16s(x, {.level_max = 3, .trials = 16, .first = -0.5f, .absolute_error = true},
                  out[1].scale, out[1].min, out[1].levels);
  fits.q3_k(x, out[2].scale, out[2].levels);
  fits.q6_k(x, out[3].scale, out[3].levels);
  out[4].scale[0] = fits.iq4_scale(x);
  fits.iq4_codes(x, 1.0f / out[4].scale[0], out[4].levels);
  return out;
}

TEST(QuantIsa, SubBlocksFitToTheSameBits) {
  const SubBlockFits& generic = quant_isas().back().rows->fits;
  for (const QuantIsa& isa : quant_isas())
    for (const Row& row : rows()) {
      if (std::string(row.name) == "not numbers") continue;  // of which there are several
      for (std::size_t at = 0; at < row.x.size(); at += 256)
        EXPECT_EQ(fitted(isa.rows->fits, row.x.data() + at), fitted(generic, row.x.data() + at))
            << isa.name << " " << row.name << " from " << at;
    }
}

TEST(QuantIsa, EveryF16DecodesToTheSameBits) {
  std::vector<std::uint16_t> all(65536 + 5);  // a tail that fills no vector
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint16_t>(i);
  const auto n = static_cast<std::int64_t>(all.size());
  const auto* bytes = reinterpret_cast<const std::byte*>(all.data());
  std::vector<float> expected(all.size()), values(all.size());
  decode_f16_portable(bytes, n, expected.data());
  for (const QuantIsa& isa : quant_isas()) {
    isa.rows->decode_f16(bytes, n, values.data());
    for (std::size_t i = 0; i < all.size(); ++i)
      ASSERT_EQ(std::bit_cast<std::uint32_t>(values[i]), std::bit_cast<std::uint32_t>(expected[i]))
          << isa.name << " " << all[i];
  }
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // its own weak symbols are in every file
#else
constexpr bool kSanitized = false;
#endif

TEST(QuantIsa, ObjectsDefineOnlyTheirTables) {
  if (kSanitized) GTEST_SKIP() << "sanitizers add weak symbols";
  if (shell("nm --version").status != 0) GTEST_SKIP() << "nm is not installed";
  const std::filesystem::path objects =
      std::filesystem::path(RIDGELINE_BINARY_DIR) / "lib/quant/CMakeFiles/ridgeline_quant.dir";
  if (!std::filesystem::exists(objects)) GTEST_SKIP() << "no object files in " << objects;
  for (const std::string isa : {"generic", "avx2", "avx512"}) {
    int symbols = 0;
    for (const auto& file : std::filesystem::directory_iterator(objects / isa)) {
      const ShellResult nm =
          shell("nm --demangle --extern-only --defined-only '" + file.path().string() + "'");
      ASSERT_EQ(nm.status, 0) << nm.output;
      std::istringstream lines(nm.output);
      for (std::string line; std::getline(lines, line);) {
        const std::size_t kind = line.find(' ');
        if (kind == std::string::npos) continue;
        ++symbols;
        const std::string symbol = line.substr(kind + 1);
        EXPECT_TRUE(symbol.substr(2).starts_with("ridgeline::" + isa + "::k")) << symbol;
        EXPECT_EQ(std::string("WwVvu").find(symbol[0]), std::string::npos) << symbol;
      }
    }
    EXPECT_EQ(symbols, 2) << isa;
  }
}

}  // namespace
}  // namespace ridgeline
