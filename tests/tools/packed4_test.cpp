// GPTQ and AWQ folders in what commands do: inspect, and conversion to GGUF.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ridgeline/format/gguf.h"
#include "ridgeline/format/hugging_face.h"
#include "ridgeline/quant/decode_rows.h"
#include "ridgeline/tools/inspect.h"
#include "ridgeline/tools/ptq/convert.h"
#include "ridgeline/tools/ptq/plain_method.h"
#include "tests/support/random_model.h"

namespace ridgeline {
namespace {

std::string folder_of(const std::string& name) {
  return RIDGELINE_SOURCE_DIR "/tests/data/oracles/packed4/" + name;
}

TEST(Packed4Tools, InspectShowsTheMethodAndTheBitsInMemory) {
  for (const auto& [name, format, type, bits] :
       {std::tuple{"gptq-act-order", "GPTQ, 4 bits in groups of 32", "INT4_32", 4.75},
        {"gptq-column", "GPTQ, 4 bits by column", "INT4_64", 4.375},
        {"awq-128", "AWQ, 4 bits in groups of 128", "INT4_128", 4.1875}}) {
    const auto report = inspect_file(folder_of(name));
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_THAT(report->format, testing::HasSubstr(format));
    EXPECT_TRUE(report->config) << report->unsupported;
    const auto total = report->types.find(type);
    ASSERT_NE(total, report->types.end()) << name;
    EXPECT_EQ(8.0 * static_cast<double>(total->second.bytes) /
                  static_cast<double>(total->second.elements),
              bits);
  }
}

TEST(Packed4Tools, ConversionKeepsEachWeightAtItsInput) {
  for (const char* name : {"gptq-act-order", "awq"}) {
    const auto model = open_hugging_face(folder_of(name));
    ASSERT_TRUE(model) << model.error().message;
    EXPECT_THAT(ptq::QuantizePlan::make(*model, {.type = "Q8_0"}).error().message,
                testing::HasSubstr("already, expected F32, F16 or BF16"));
    const auto plan = ptq::QuantizePlan::make(*model, {.type = "F32"}, /*requantize=*/true);
    ASSERT_TRUE(plan) << plan.error().message;
    const std::string path = test::temporary_path("packed4-converted.gguf");
    ThreadPool threads(2, /*pin=*/false);
    ptq::PlainMethod method(*model, threads);
    const auto done = ptq::convert(*model, *plan, {}, path, method, threads, {});
    ASSERT_TRUE(done) << done.error().message;
    const auto file = open_gguf(path);
    ASSERT_TRUE(file) << file.error().message;
    for (const TensorView& t : model->tensors()) {
      const TensorView* written = file->tensor(t.name);
      ASSERT_NE(written, nullptr) << t.name;
      std::vector<std::byte> scratch;
      std::vector<float> expected(static_cast<std::size_t>(t.elements())), got(expected.size());
      decode_rows(t, 0, t.rows(), scratch, expected.data());
      decode_rows(*written, 0, t.rows(), scratch, got.data());
      EXPECT_EQ(got, expected) << t.name;
    }
    std::remove(path.c_str());
  }
}

}  // namespace
}  // namespace ridgeline
