#include "ridgeline/tools/ptq/quantize_report.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>

namespace ridgeline::ptq {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

TensorReport tensor(std::string name, DType to, std::vector<std::int64_t> shape, double sqnr_db) {
  TensorReport t;
  t.name = std::move(name);
  t.from = DType::kF16;
  t.to = to;
  t.shape = std::move(shape);
  t.bytes = row_bytes(to, t.elements());
  t.quality = {.elements = t.elements(),
               .signal = 100,
               .noise = 100 * std::pow(10.0, -sqnr_db / 10),
               .max_error = 0.0123};
  t.seconds = 0.25;
  return t;
}

TensorReport copied(std::string name, std::vector<std::int64_t> shape) {
  TensorReport t = tensor(std::move(name), DType::kF32, std::move(shape), 0);
  t.from = DType::kF32;
  t.quality = {};
  t.seconds = 0;
  return t;
}

/// As of a model of `layers` layers.
QuantizeReport report_of(int layers) {
  QuantizeReport r;
  r.source = "/models/fireside-f16.gguf";
  r.target = "/models/fireside-q4_k_m.gguf";
  r.type = "Q4_K_M";
  r.method = "gptq";
  r.calibration = "/texts/calibration.txt";
  r.settings = {{"calibration tokens", "32768"}, {"damping", "0.01"}};
  r.version = "0.6.0";
  r.isa = "avx512bf16";
  r.date = "2026-11-23 04:05 UTC";
  r.seconds = 754;
  const std::int64_t h = 2048, ffn = 8192;
  for (int layer = 0; layer < layers; ++layer) {
    const double x = layer, wave = std::sin(0.9 * x);
    const auto add = [&](const char* kind, DType type, std::int64_t rows, std::int64_t cols,
                         double sqnr) {
      r.tensors.push_back(
          tensor(fmt::format("blk.{}.{}.weight", layer, kind), type, {rows, cols}, sqnr));
    };
    r.tensors.push_back(copied(fmt::format("blk.{}.attn_norm.weight", layer), {h}));
    add("attn_q", DType::kQ4_K, h, h, 19.5 + 0.05 * x + 0.4 * wave);
    add("attn_k", DType::kQ4_K, h / 4, h, 20.1 + 0.03 * x - 0.3 * wave);
    add("attn_v", layer % 3 == 0 ? DType::kQ6_K : DType::kQ4_K, h / 4, h,
        (layer % 3 == 0 ? 31.5 : 21.0) + 0.3 * wave);
    add("attn_output", DType::kQ4_K, h, h, 20.6 + 0.2 * wave);
    r.tensors.push_back(copied(fmt::format("blk.{}.ffn_norm.weight", layer), {h}));
    add("ffn_gate", DType::kQ4_K, ffn, h, 20.0 + 0.1 * wave);
    add("ffn_up", DType::kQ4_K, ffn, h, 20.3 + 0.02 * x);
    add("ffn_down", layer % 3 == 0 ? DType::kQ6_K : DType::kQ4_K, h, ffn,
        (layer % 3 == 0 ? 32.1 : 19.2) + 0.2 * wave);
  }
  r.tensors.push_back(copied("output_norm.weight", {h}));
  r.tensors.push_back(tensor("token_embd.weight", DType::kQ6_K, {102'400, h}, 31.9));
  for (const TensorReport& t : r.tensors) {
    r.target_bytes += t.bytes;
    r.source_bytes += static_cast<std::size_t>(t.elements()) * 2;
  }
  r.bits_per_weight =
      16 * static_cast<double>(r.target_bytes) / static_cast<double>(r.source_bytes);
  return r;
}

QuantizeReport measured(QuantizeReport r) {
  r.eval_text = "/texts/valid.txt";
  r.eval_context = 256;
  r.before = EvalResult{4.2011, 0.0179, 66.76, 28'321, 223};
  r.after = EvalResult{4.2040, 0.0179, 66.95, 28'321, 223};
  r.divergence = DivergenceResult{.kl_mean = 0.00297,
                                  .kl_stderr = 0.00002,
                                  .kl_median = 0.0021,
                                  .kl_p99 = 0.0163,
                                  .kl_max = 0.0912,
                                  .top1 = 0.9552,
                                  .top1_stderr = 0.0012,
                                  .delta_p_mean = -0.0002,
                                  .delta_p_rms = 0.0091,
                                  .log_perplexity_ratio = 0.0029,
                                  .log_perplexity_ratio_stderr = 0.0005,
                                  .positions = 28'321};
  return r;
}

int count(const std::string& text, const std::string& part) {
  int n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

/// Elements that are opened are closed, in order: no name of a file has come between.
void expect_well_formed(const std::string& html) {
  std::vector<std::string> open;
  const std::regex tag(R"(<(/?)([a-z0-9]+)((?:[^"'>]|"[^"]*")*?)(/?)>)");
  for (std::sregex_iterator it(html.begin(), html.end(), tag), end; it != end; ++it) {
    const std::string name = (*it)[2];
    if (name == "meta" || (*it)[4].length() > 0) continue;
    if ((*it)[1].length() == 0) {
      open.push_back(name);
    } else {
      ASSERT_FALSE(open.empty()) << name;
      ASSERT_EQ(open.back(), name);
      open.pop_back();
    }
  }
  EXPECT_TRUE(open.empty());
}

TEST(QuantizeReport, TotalIsOfWhatChanged) {
  const QuantizeReport r = report_of(2);
  std::int64_t elements = 0;
  for (const TensorReport& t : r.tensors) elements += t.quality.elements;
  EXPECT_EQ(r.total().elements, elements);
  EXPECT_GT(r.total().sqnr_db(), 19);
  EXPECT_LT(r.total().sqnr_db(), 32);
  EXPECT_DOUBLE_EQ(r.total().max_error, 0.0123);
}

TEST(QuantizeReport, JsonHoldsWhatWasMeasured) {
  const json j = json::parse(to_json(measured(report_of(2))));
  EXPECT_EQ(j["schema"], 1);
  EXPECT_EQ(j["source"]["path"], "/models/fireside-f16.gguf");
  EXPECT_EQ(j["target"]["type"], "Q4_K_M");
  EXPECT_EQ(j["settings"]["damping"], "0.01");
  EXPECT_EQ(j["program"]["isa"], "avx512bf16");
  EXPECT_EQ(j["eval"]["before"]["perplexity"], 66.76);
  EXPECT_EQ(j["eval"]["after"]["nll"], 4.2040);
  EXPECT_EQ(j["eval"]["context"], 256);
  EXPECT_EQ(j["eval"]["kl"]["p99"], 0.0163);
  EXPECT_EQ(j["eval"]["top1"], 0.9552);
  EXPECT_EQ(j["eval"]["delta_p"]["rms"], 0.0091);
  ASSERT_EQ(j["tensors"].size(), 20u);
  const json& query = j["tensors"][1];
  EXPECT_EQ(query["name"], "blk.0.attn_q.weight");
  EXPECT_EQ(query["from"], "F16");
  EXPECT_EQ(query["to"], "Q4_K");
  EXPECT_EQ(query["shape"], (json{2048, 2048}));
  EXPECT_EQ(query["bits_per_weight"], 4.5);
  EXPECT_NEAR(query["sqnr_db"].get<double>(), 19.5, 1e-9);
  EXPECT_TRUE(j["tensors"][0]["sqnr_db"].is_null());
  EXPECT_EQ(j["tensors"][0]["max_error"], 0);
}

TEST(QuantizeReport, JsonOfWhatWasNotMeasuredIsNull) {
  QuantizeReport r = report_of(1);
  r.calibration.clear();
  r.tensors[1].name = "\xff\xfe";
  const json j = json::parse(to_json(r));
  EXPECT_TRUE(j["eval"].is_null());
  EXPECT_TRUE(j["calibration"].is_null());
  EXPECT_EQ(json::parse(to_json(QuantizeReport{}))["tensors"], json::array());
}

TEST(QuantizeReport, PageHasEveryTensorAndNothingFromElsewhere) {
  const QuantizeReport r = measured(report_of(16));
  const std::string html = to_html(r);
  expect_well_formed(html);
  for (const TensorReport& t : r.tensors)
    EXPECT_THAT(html, HasSubstr("<td class=\"left\">" + t.name));
  for (const char* part :
       {"66.76 → 66.95", "0.00297", "0.0163", "0.0912", "95.5 %", "/texts/calibration.txt",
        "2026-11-23", "32768", "Q6_K", "12 min 34 s", "± 0.00002 nats"})
    EXPECT_THAT(html, HasSubstr(part));
  EXPECT_EQ(count(html, "http://"), count(html, "xmlns=\"http://www.w3.org/2000/svg\""));
  EXPECT_THAT(html, Not(HasSubstr("https://")));
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, Not(HasSubstr("<link")));
  EXPECT_EQ(count(html, "class=\"plot "), 2);
  EXPECT_EQ(count(html, "layer 15,"), 2 * 7);  // a mark of each kind in both plots
  // For looking at it.
  if (const char* path = std::getenv("RIDGELINE_REPORT_HTML"))
    std::ofstream(path, std::ios::binary) << html;
}

TEST(QuantizeReport, NamesCannotInject) {
  QuantizeReport r = measured(report_of(2));
  const std::string evil =
      "</td><script>alert(1)</script><img src=x onerror=\"alert('2')\">&\x01\xff";
  r.tensors[1].name = evil;
  r.tensors[2].name = "blk.1." + evil;
  r.tensors[3].name = "blk.99999999999999999999.x";
  r.tensors[4].name = "blk.-5.x";
  r.tensors[5].name = "blk.";
  for (std::string* text : {&r.source, &r.target, &r.type, &r.method, &r.calibration, &r.version,
                            &r.isa, &r.date, &r.eval_text})
    *text = evil;
  r.settings = {{evil, evil}};
  const std::string html = to_html(r);
  expect_well_formed(html);
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, Not(HasSubstr("<img")));
  EXPECT_THAT(html, Not(HasSubstr("\x01")));
  EXPECT_THAT(html, Not(HasSubstr("\xff")));
  EXPECT_THAT(html, HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt;"));
  EXPECT_THAT(html, HasSubstr("&amp;\xEF\xBF\xBD\xEF\xBF\xBD"));
  EXPECT_TRUE(json::accept(to_json(r)));
}

TEST(QuantizeReport, PagesOfLittle) {
  expect_well_formed(to_html({}));
  expect_well_formed(to_html(report_of(0)));
  const std::string one = to_html(report_of(1));
  expect_well_formed(one);
  EXPECT_THAT(one, HasSubstr("ridgeline eval -m NEW --base ORIGINAL"));
  EXPECT_THAT(one, Not(HasSubstr("nan")));
  // Nothing lost anywhere, and values that are no numbers.
  QuantizeReport r = report_of(2);
  for (TensorReport& t : r.tensors) t.quality.noise = 0;
  r.tensors[1].quality.signal = r.tensors[1].quality.noise = std::nan("");
  expect_well_formed(to_html(r));
  EXPECT_TRUE(json::parse(to_json(r))["tensors"][1]["sqnr_db"].is_null());
}

}  // namespace
}  // namespace ridgeline::ptq
