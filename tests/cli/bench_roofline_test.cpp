// `ridgeline bench roofline` as a user runs it, in little time.

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/cli/program.h"

namespace ridgeline {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::expect_error;
using test::Outcome;
using test::read_file;
using test::ridgeline;
using testing::HasSubstr;
using testing::Not;

const char* const kDemoModel = RIDGELINE_SOURCE_DIR "/models/fireside-q8_0.gguf";

Outcome roofline(std::vector<std::string> more) {
  std::vector<std::string> arguments{"bench", "roofline", "-m",        kDemoModel, "-t", "1",
                                     "-p",    "8,32",     "--n-depth", "0,40",     "-b", "1,3"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return ridgeline(arguments);
}

TEST(BenchRoofline, MeasuresDrawsAndReports) {
  const std::string folder = test::temporary_path("roofline");
  const std::string svg = folder + "/drawing.svg";
  fs::create_directories(folder);
  const Outcome o = roofline({"--report", folder, "--svg", svg, "--json", folder + "/all.json"});
  ASSERT_EQ(o.exit_code, 0) << o.err;
  EXPECT_THAT(o.err, HasSubstr("index.html"));
  for (const char* part : {"operations/byte", "● prefill", "○ decode", "■ streams",
                           "| prefill, 8 tokens", "| decode, depth 40", "| 3 streams"})
    EXPECT_THAT(o.out, HasSubstr(part));
  EXPECT_THAT(read_file(svg), HasSubstr("</svg>"));
  const json all = json::parse(read_file(folder + "/all.json"));
  ASSERT_EQ(all["lines"].size(), 2u + 2u + 2u);
  for (const json& line : all["lines"]) {
    EXPECT_GT(line["share_of_roof"], 0.0);
    EXPECT_NEAR(line["share_of_roof"].get<double>() * line["roof_ops_per_second"].get<double>(),
                line["ops_per_second"].get<double>(), 1e-6 * line["ops_per_second"].get<double>());
    EXPECT_EQ(line["bound_by"] == "compute", line["ops_per_byte"] >= line["ridge_ops_per_byte"]);
  }
  // More rows for the same weights: more operations per byte.
  EXPECT_LT(all["lines"][0]["ops_per_byte"], all["lines"][1]["ops_per_byte"]);
  EXPECT_LT(all["lines"][4]["ops_per_byte"], all["lines"][5]["ops_per_byte"]);

  const std::string page = read_file(folder + "/index.html");
  EXPECT_THAT(page, HasSubstr("id=\"roofline\""));
  EXPECT_THAT(page, HasSubstr("ridgeline bench roofline -m "));
  EXPECT_EQ(json::parse(read_file(folder + "/roofline.json"))["data"], all);
  EXPECT_EQ(std::ranges::count(read_file(folder + "/roofline-lines.csv"), '\n'), 1 + 6);
  fs::remove_all(folder);
}

TEST(BenchRoofline, LeavesOutWhatThereIsNoTimeFor) {
  const Outcome o = roofline({"--seconds", "0.1", "-b", "1,64", "--json", "-"});
  ASSERT_EQ(o.exit_code, 0) << o.err;
  const json j = json::parse(o.out);
  EXPECT_LT(j["lines"].size(), 6u);
  EXPECT_GE(j["lines"].size(), 3u);
  EXPECT_THAT(j["notes"].dump(), HasSubstr("64 streams"));
}

TEST(BenchRoofline, Refuses) {
  expect_error(roofline({"--n-prompt", "0"}), "--n-prompt 0: expected 1 to ");
  expect_error(roofline({"--json", "-", "--svg", "-"}), "cannot both");
  expect_error(roofline({"--report", std::string(kDemoModel) + "/x"}), "cannot be made a folder");
  expect_error(roofline({"-c", "2"}), "nothing to measure");
}

}  // namespace
}  // namespace ridgeline
