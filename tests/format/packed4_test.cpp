// GPTQ and AWQ matrices made by hand from known integers.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <deque>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>

#include "ridgeline/format/hf_packed4.h"
#include "ridgeline/quant/decode_rows.h"
#include "ridgeline/quant/half.h"

namespace ridgeline {
namespace {

using testing::HasSubstr;

/// A matrix as the quantizer had it, and its tensors, which a test may spoil.
struct Made {
  std::int64_t out = 0, in = 0, groups = 0;
  std::vector<int> levels;          ///< [out][in]
  std::vector<int> zeros;           ///< [out][groups]
  std::vector<float> scales;        ///< [out][groups]
  std::vector<std::int32_t> g_idx;  ///< [in]
  StoredTensor qweight, qzeros, stored_scales, stored_g_idx;
  bool has_g_idx = false;
  std::deque<std::vector<std::byte>> memory;

  float weight(std::int64_t o, std::int64_t i) const {
    const auto group = static_cast<std::size_t>(o * groups + g_idx[static_cast<std::size_t>(i)]);
    return scales[group] *
           static_cast<float>(levels[static_cast<std::size_t>(o * in + i)] - zeros[group]);
  }
  template <class T>
  StoredTensor store(const char* name, const char* dtype, std::vector<std::int64_t> shape,
                     const std::vector<T>& values) {
    std::vector<std::byte>& bytes = memory.emplace_back(values.size() * sizeof(T));
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return {std::string("m.") + name, dtype, std::move(shape), bytes};
  }
  Result<TensorView> read(const HfQuantization& how) {
    InputOrders orders;
    return packed4({&qweight, &qzeros, &stored_scales, has_g_idx ? &stored_g_idx : nullptr}, how,
                   orders, "folder");
  }
  std::string error(const HfQuantization& how) {
    const auto view = read(how);
    return view ? "no error" : view.error().message;
  }
};

/// Words of eight numbers of four bits along rows of `width`, number e of a word at nibble
/// `place[e]`.
std::vector<std::uint32_t> words(const std::vector<int>& values, std::int64_t width,
                                 const std::array<int, 8>& place) {
  std::vector<std::uint32_t> out(values.size() / 8);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t col = i % static_cast<std::size_t>(width);
    out[(i - col + col / 8 * 8) / 8] |= static_cast<std::uint32_t>(values[i])
                                        << (4 * place[col % 8]);
  }
  return out;
}

template <class T>
std::vector<T> transposed(const std::vector<T>& values, std::int64_t rows) {
  const std::size_t r_count = static_cast<std::size_t>(rows), cols = values.size() / r_count;
  std::vector<T> out(values.size());
  for (std::size_t r = 0; r < r_count; ++r)
    for (std::size_t c = 0; c < cols; ++c) out[c * r_count + r] = values[r * cols + c];
  return out;
}

constexpr std::array<int, 8> kInOrder{0, 1, 2, 3, 4, 5, 6, 7};
/// AWQ's order_map is 0 2 4 6 1 3 5 7: nibble 1 holds output 2, and so on.
constexpr std::array<int, 8> kAwqPlace{0, 4, 1, 5, 2, 6, 3, 7};

void store(Made& m, const HfQuantization& how) {
  const bool is_awq = how.method == HfQuantization::Method::kAwq;
  const auto place = is_awq ? kAwqPlace : kInOrder;
  if (is_awq) {
    m.qweight = m.store("qweight", "I32", {m.in, m.out / 8},
                        words(transposed(m.levels, m.out), m.out, place));
  } else {  // words along the inputs, then transposed
    m.qweight = m.store("qweight", "I32", {m.in / 8, m.out},
                        transposed(words(m.levels, m.in, place), m.out));
  }
  std::vector<std::uint32_t> zeros = words(transposed(m.zeros, m.out), m.out, place);
  if (how.zeros_less_one)
    for (std::uint32_t& word : zeros) word -= 0x11111111;
  m.qzeros = m.store("qzeros", "I32", {m.groups, m.out / 8}, zeros);
  std::vector<std::uint16_t> scales;
  for (const float scale : transposed(m.scales, m.out)) scales.push_back(f32_to_f16(scale));
  m.stored_scales = m.store("scales", "F16", {m.groups, m.out}, scales);
  m.stored_g_idx = m.store("g_idx", "I32", {m.in}, m.g_idx);
}

Made make(std::int64_t out, std::int64_t in, const HfQuantization& how, unsigned seed = 1) {
  std::mt19937 random(seed);
  const std::int64_t size = how.group_size > 0 ? how.group_size : in;
  Made m;
  m.out = out;
  m.in = in;
  m.groups = in / size;
  for (std::int64_t i = 0; i < out * in; ++i) m.levels.push_back(static_cast<int>(random() % 16));
  for (std::int64_t i = 0; i < out * m.groups; ++i) {
    m.zeros.push_back(static_cast<int>(random() % 16));
    const float scale = static_cast<float>(random() % 2000 + 1) / 4096 - 0.2F;
    m.scales.push_back(f16_to_f32(f32_to_f16(scale)));
  }
  for (std::int64_t i = 0; i < in; ++i) m.g_idx.push_back(static_cast<std::int32_t>(i / size));
  store(m, how);
  return m;
}

void expect_exact(Made& m, const HfQuantization& how) {
  const auto view = m.read(how);
  ASSERT_TRUE(view) << view.error().message;
  ASSERT_EQ(view->shape, (std::vector<std::int64_t>{m.out, m.in}));
  std::vector<std::byte> scratch;
  std::vector<float> rows(static_cast<std::size_t>(m.out * m.in));
  decode_rows(*view, 0, m.out, scratch, rows.data());
  for (std::int64_t o = 0; o < m.out; ++o)
    for (std::int64_t i = 0; i < m.in; ++i)
      ASSERT_EQ(rows[static_cast<std::size_t>(o * m.in + i)], m.weight(o, i)) << o << ", " << i;
  // A few rows from the middle are the same ones.
  std::vector<float> some(static_cast<std::size_t>(3 * m.in));
  decode_rows(*view, m.out / 2 - 1, 3, scratch, some.data());
  EXPECT_EQ(
      std::memcmp(some.data(), rows.data() + (m.out / 2 - 1) * m.in, some.size() * sizeof(float)),
      0);
}

constexpr auto kGptq = HfQuantization::Method::kGptq;
constexpr auto kAwq = HfQuantization::Method::kAwq;

struct Case {
  HfQuantization how;
  std::int64_t in;
  DType expected;
};

TEST(Packed4, WeightsAreScaleTimesLevelLessZero) {
  for (const auto method : {kGptq, kAwq})
    for (const bool less_one : {false, true}) {
      if (method == kAwq && less_one) continue;
      for (const Case& c : {Case{{method, 32, less_one}, 96, DType::kINT4_32},
                            Case{{method, 64, less_one}, 192, DType::kINT4_64},
                            Case{{method, 96, less_one}, 192, DType::kINT4_32},
                            Case{{method, 128, less_one}, 256, DType::kINT4_128},
                            Case{{method, 256, less_one}, 512, DType::kINT4_128},
                            Case{{method, 0, less_one}, 320, DType::kINT4_64},
                            Case{{method, 0, less_one}, 32, DType::kINT4_32}}) {
        SCOPED_TRACE(c.how.description() + fmt::format(", {} inputs", c.in));
        Made m = make(40, c.in, c.how);
        expect_exact(m, c.how);
        EXPECT_EQ(m.read(c.how)->dtype, c.expected);
        EXPECT_EQ(m.read(c.how)->input_order, nullptr);
      }
    }
}

TEST(Packed4, AZeroOf0BorrowsFromItsNeighbourInTheFirstFormat) {
  const HfQuantization how{kGptq, 32, true};
  Made m = make(8, 32, how);
  m.zeros = {0, 0, 5, 0, 15, 1, 0, 0};
  store(m, how);
  expect_exact(m, how);
}

TEST(Packed4, InputsOfAGroupAreGathered) {
  const HfQuantization how{kGptq, 64};
  Made m = make(16, 256, how);
  std::mt19937 random(3);
  std::ranges::shuffle(m.g_idx, random);
  m.has_g_idx = true;
  store(m, how);
  expect_exact(m, how);
  const auto view = m.read(how);
  EXPECT_EQ(view->dtype, DType::kINT4_64);
  ASSERT_NE(view->input_order, nullptr);
  std::vector<std::int32_t> sorted = *view->input_order;
  std::ranges::sort(sorted);
  for (std::size_t i = 0; i < sorted.size(); ++i) ASSERT_EQ(sorted[i], static_cast<int>(i));
}

TEST(Packed4, GroupsThatLieTogetherNeedNoOrder) {
  const HfQuantization how{kGptq, 32};
  Made m = make(16, 128, how);
  m.has_g_idx = true;
  for (std::size_t i = 0; i < m.g_idx.size(); ++i)
    m.g_idx[i] = std::array{2, 0, 0, 1}[i / 32];  // one twice, one not at all
  store(m, how);
  expect_exact(m, how);
  EXPECT_EQ(m.read(how)->input_order, nullptr);
}

TEST(Packed4, EqualOrdersAreOneObject) {
  const HfQuantization how{kGptq, 32};
  InputOrders orders;
  std::vector<InputOrder> found;
  std::deque<Made> made;
  for (const unsigned seed : {1U, 1U, 2U}) {
    Made& m = made.emplace_back(make(8, 64, how, seed));
    std::mt19937 random(seed);
    std::ranges::shuffle(m.g_idx, random);
    store(m, how);
    const auto view =
        packed4({&m.qweight, &m.qzeros, &m.stored_scales, &m.stored_g_idx}, how, orders, "folder");
    ASSERT_TRUE(view);
    found.push_back(view->input_order);
  }
  EXPECT_EQ(found[0], found[1]);
  EXPECT_NE(found[0], found[2]);
}

TEST(Packed4, Bf16ScalesThatF16Holds) {
  const HfQuantization how{kGptq, 32};
  Made m = make(8, 64, how);
  for (float& scale : m.scales) scale = bf16_to_f32(f32_to_bf16(scale));
  store(m, how);
  std::vector<std::uint16_t> scales;
  for (const float scale : transposed(m.scales, m.out)) scales.push_back(f32_to_bf16(scale));
  m.stored_scales = m.store("scales", "BF16", {m.groups, m.out}, scales);
  expect_exact(m, how);
  scales[3] = f32_to_bf16(1e-9F);
  m.stored_scales = m.store("scales", "BF16", {m.groups, m.out}, scales);
  EXPECT_THAT(m.error(how), HasSubstr("which F16 does not hold exactly"));
}

TEST(Packed4, BytesMayLieAnywhere) {
  const HfQuantization how{kAwq, 32};
  Made m = make(8, 64, how);
  for (StoredTensor* t : {&m.qweight, &m.qzeros, &m.stored_scales}) {
    std::vector<std::byte>& shifted = m.memory.emplace_back(t->data.size() + 1);
    std::memcpy(shifted.data() + 1, t->data.data(), t->data.size());
    t->data = std::span(shifted).subspan(1);
  }
  expect_exact(m, how);
}

TEST(Packed4Errors, NameTheTensorAndWhatWasExpected) {
  const HfQuantization how{kGptq, 64};
  const auto with = [&](auto&& spoil) {
    Made m = make(16, 128, how);
    m.has_g_idx = true;
    spoil(m);
    return m.error(how);
  };
  EXPECT_EQ(with([](Made&) {}), "no error");
  EXPECT_THAT(with([](Made& m) { m.qweight.dtype = "I64"; }),
              HasSubstr("folder: tensor 'm.qweight' is I64 [16, 16], expected I32 [inputs / 8, "
                        "outputs]"));
  EXPECT_THAT(with([](Made& m) { m.qweight.shape = {256}; }), HasSubstr("is I32 [256], expected"));
  EXPECT_THAT(with([](Made& m) { m.qweight.shape = {0, 16}; }), HasSubstr("is I32 [0, 16]"));
  EXPECT_THAT(with([](Made& m) {
                m.qweight.shape = {2, 16};
              }),
              HasSubstr("has 16 inputs, expected a multiple of 32"));
  EXPECT_THAT(with([](Made& m) {
                m.qweight.shape = {16, 12};
              }),
              HasSubstr("has 12 outputs, expected a multiple of 8"));
  EXPECT_THAT(with([](Made& m) {
                m.qweight.shape = {20, 8};
              }),
              HasSubstr("has 160 inputs, which groups of 64 do not divide"));
  EXPECT_THAT(with([](Made& m) { m.stored_scales.dtype = "F32"; }),
              HasSubstr("tensor 'm.scales' is F32 [2, 16], expected F16 or BF16 [2, 16]"));
  EXPECT_THAT(with([](Made& m) {
                m.stored_scales.shape = {16, 2};
              }),
              HasSubstr("'m.scales' is F16 [16, 2], expected F16 or BF16 [2, 16]"));
  EXPECT_THAT(with([](Made& m) {
                m.qzeros.shape = {2, 16};
              }),
              HasSubstr("'m.qzeros' is I32 [2, 16], expected I32 [2, 2]"));
  EXPECT_THAT(with([](Made& m) { m.stored_g_idx.shape = {64}; }),
              HasSubstr("'m.g_idx' is I32 [64], expected I32 [128]"));
  for (const std::int32_t bad : {2, -1, 1 << 30})
    EXPECT_THAT(with([bad](Made& m) {
                  m.g_idx[7] = bad;
                  m.stored_g_idx = m.store("g_idx", "I32", {m.in}, m.g_idx);
                }),
                HasSubstr(fmt::format("'m.g_idx' puts input 7 in group {} of 2", bad)));
  EXPECT_THAT(with([](Made& m) {
                m.g_idx[7] = 1;
                m.stored_g_idx = m.store("g_idx", "I32", {m.in}, m.g_idx);
              }),
              HasSubstr("'m.g_idx' has 63 inputs in group 0, expected a multiple of 32"));

  const HfQuantization odd{kAwq, 48};
  Made m = make(8, 96, odd);
  EXPECT_THAT(m.error(odd), HasSubstr("'m.qweight' has 48 inputs in group 0, expected a multiple"));
  m.qweight.shape = {96};
  EXPECT_THAT(m.error(odd), HasSubstr("expected I32 [inputs, outputs / 8]"));
}

TEST(Packed4Errors, ModulesMayHaveGroupsOfTheirOwnWhereTheConfigurationSaysSo) {
  const HfQuantization written{kGptq, 32};
  HfQuantization read{kGptq, 128};
  Made m = make(8, 128, written);
  EXPECT_THAT(m.error(read), HasSubstr("'m.scales' is F16 [4, 8], expected F16 or BF16 [1, 8]"));
  read.varies = true;
  expect_exact(m, read);
}

/// What config.json may say.
std::string config_error(const nlohmann::json& quantization) {
  const auto read =
      read_hf_quantization({{"quantization_config", quantization}}, "llama", "config.json");
  return read ? "no error" : read.error().message;
}

TEST(Packed4Config, Reads) {
  const auto read = [](const nlohmann::json& quantization) {
    return **read_hf_quantization({{"quantization_config", quantization}}, "llama", "config.json");
  };
  HfQuantization q = read({{"quant_method", "gptq"}, {"bits", 4}, {"group_size", 128}});
  EXPECT_EQ(q.description(), "GPTQ, 4 bits in groups of 128");
  EXPECT_TRUE(q.zeros_less_one);
  q = read({{"quant_method", "gptq"},
            {"bits", 4},
            {"group_size", -1},
            {"checkpoint_format", "gptq_v2"},
            {"is_marlin_format", false},
            {"dynamic", {{"-:.*down.*", nlohmann::json::object()}}}});
  EXPECT_EQ(q.description(), "GPTQ, 4 bits by column");
  EXPECT_FALSE(q.zeros_less_one);
  EXPECT_FALSE(q.varies);
  q = read({{"quant_method", "gptq"},
            {"bits", 4},
            {"group_size", 128},
            {"dynamic", {{".*down.*", {{"group_size", 32}}}}}});
  EXPECT_TRUE(q.varies);
  q = read({{"quant_method", "awq"}, {"w_bit", 4}, {"q_group_size", 64}, {"version", "GEMM"}});
  EXPECT_EQ(q.description(), "AWQ, 4 bits in groups of 64");
  EXPECT_FALSE(q.zeros_less_one);
  EXPECT_FALSE(*read_hf_quantization({{"quantization_config", nullptr}}, "llama", "config.json"));
  EXPECT_FALSE(*read_hf_quantization({{"quantization_config", {{"quant_method", "mxfp4"}}}},
                                     "gpt-oss", "config.json"));
}

TEST(Packed4Config, OthersAreRefusedByName) {
  const nlohmann::json good{{"quant_method", "gptq"}, {"bits", 4}, {"group_size", 32}};
  const auto with = [&](const char* key, const nlohmann::json& value) {
    nlohmann::json bad = good;
    bad[key] = value;
    return config_error(bad);
  };
  EXPECT_EQ(config_error(good), "no error");
  for (const char* method : {"compressed-tensors", "fp8", "bitsandbytes", "auto-round", "mxfp4"})
    EXPECT_THAT(with("quant_method", method),
                HasSubstr(fmt::format("config.json: the weights are quantized by '{}'", method)));
  EXPECT_THAT(config_error("gptq"), HasSubstr("the weights are quantized by ''"));
  for (const int bits : {2, 3, 8})
    EXPECT_THAT(with("bits", bits),
                HasSubstr(fmt::format("quantization_config has 'bits' {}, expected 4", bits)));
  EXPECT_THAT(with("bits", nullptr), HasSubstr("has 'bits' absent, expected 4"));
  EXPECT_THAT(with("bits", 4.0), HasSubstr("has 'bits' 4.0"));
  for (const nlohmann::json& size : {nlohmann::json(0), nlohmann::json(-2), nlohmann::json("128"),
                                     nlohmann::json(18446744073709551615ULL), nlohmann::json()})
    EXPECT_THAT(with("group_size", size), HasSubstr("expected -1 or 1 to 2^20"));
  for (const char* format : {"marlin", "gptq_p", "bitblas"})
    EXPECT_THAT(
        with("checkpoint_format", format),
        HasSubstr(fmt::format("has 'checkpoint_format' \"{}\", expected 'gptq' or", format)));
  EXPECT_THAT(with("checkpoint_format", 2), HasSubstr("has 'checkpoint_format' 2"));
  EXPECT_THAT(with("is_marlin_format", true), HasSubstr("laid out for a GPU"));
  EXPECT_THAT(with("pack_dtype", "int64"), HasSubstr("has 'pack_dtype' \"int64\""));
  EXPECT_THAT(with("dynamic", {{"+:.*mlp.*", {{"bits", 8}}}}), HasSubstr("4 bits everywhere"));
  EXPECT_THAT(with("dynamic", "x"), HasSubstr("expected an object"));
  nlohmann::json awq = good;
  awq["quant_method"] = "awq";
  EXPECT_EQ(config_error(awq), "no error");
  for (const char* version : {"gemv", "gemv_fast", "marlin", "exllama", "llm-awq"}) {
    awq["version"] = version;
    EXPECT_THAT(config_error(awq),
                HasSubstr(fmt::format("has 'version' \"{}\", expected 'gemm'", version)));
  }
}

}  // namespace
}  // namespace ridgeline
