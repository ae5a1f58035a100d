// `ridgeline bench speculate` as a user runs it, with settings that take little time.

#include <nlohmann/json.hpp>

#include "tests/cli/program.h"

namespace ridgeline {
namespace {

using nlohmann::json;
using test::expect_error;
using test::expect_usage_error;
using test::Outcome;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const char* const kDemoModel = RIDGELINE_SOURCE_DIR "/models/fireside-q8_0.gguf";

class BenchSpeculate : public testing::Test {
 protected:
  void SetUp() override {
    test::write_file(prompts_,
                     "{\"category\": \"tales\", \"turns\": [\"Once upon a time\"]}\n"
                     "{\"category\": \"tales\", \"turns\": [\"One day a little dog\"]}\n"
                     "{\"category\": \"others\", \"turns\": [\"The king said\"]}\n");
  }
  void TearDown() override {
    std::remove(prompts_.c_str());
    std::remove(json_.c_str());
  }
  Outcome bench(std::vector<std::string> more) {
    std::vector<std::string> arguments{"bench", "speculate", "-m", kDemoModel, "-t", "1", "-c",
                                       "1024",  "--rounds",  "1",  "--json",   json_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return test::ridgeline(arguments);
  }
  json report() const { return json::parse(test::read_file(json_)); }

  const std::string prompts_ = test::temporary_path("prompts.jsonl"),
                    json_ = test::temporary_path("report.json");
};

TEST_F(BenchSpeculate, PromptsByCategory) {
  const Outcome o =
      bench({"--prompts", prompts_, "-n", "16", "--ignore-eos", "--draft-model", kDemoModel});
  ASSERT_EQ(o.exit_code, 0) << o.err;
  EXPECT_THAT(o.out, AllOf(HasSubstr("| tales "), HasSubstr("| others "), HasSubstr("| all "),
                           HasSubstr("identical"), Not(HasSubstr("DIFFER"))));
  const json j = report();
  ASSERT_EQ(j["prompts"].size(), 3u * 4u);
  for (const json& line : j["prompts"]) {
    EXPECT_EQ(line["different_texts"], 0);
    EXPECT_EQ(line["speedups"].size(), 1u);
    EXPECT_EQ(line["tokens"].get<int>(),
              line["passes"].get<int>() + line["accepted_tokens"].get<int>());
  }
  EXPECT_GT(j["draft_seconds_per_token"], 0.0);
}

TEST_F(BenchSpeculate, ForcedTextsAndTheCurve) {
  const Outcome o = bench({"-n", "24", "--only", "curve,quotes,adversarial,planted", "--drafters",
                           "lookup", "--agreement", "0,1", "--lengths", "2", "--draft-max", "4"});
  ASSERT_EQ(o.exit_code, 0) << o.err;
  EXPECT_THAT(o.out, AllOf(HasSubstr("Forced"), HasSubstr("| edit "), HasSubstr("| misleading "),
                           HasSubstr("| luring "), HasSubstr("| 2 drafted |")));
  const json j = report();
  EXPECT_EQ(j["quotes"].size(), 3u);
  EXPECT_EQ(j["curve"].size(), 5u);
  ASSERT_EQ(j["planted"].size(), 4u);
  EXPECT_EQ(j["planted"][0]["accepted_tokens"], 0);
  EXPECT_GT(j["planted"][2]["accepted_tokens"], 0);
  EXPECT_TRUE(j["planted"][3]["length"].is_null());
}

TEST_F(BenchSpeculate, RulesWithADraftModel) {
  const Outcome o = bench({"-n", "12", "--only", "rules", "--temp", "0.8", "--draft-model",
                           kDemoModel, "--prompts", prompts_, "--category", "tales"});
  ASSERT_EQ(o.exit_code, 0) << o.err;
  EXPECT_THAT(o.out, AllOf(HasSubstr("| exact "), HasSubstr("identical"), HasSubstr("| rejection "),
                           HasSubstr("other by rule")));
  EXPECT_EQ(report()["rules"].size(), 4u);
}

TEST_F(BenchSpeculate, NonsenseIsOneSentence) {
  expect_error(bench({"--prompts", "/nonexistent.jsonl"}), "/nonexistent.jsonl");
  expect_error(bench({"--only", "quotes", "--file", "/nonexistent.txt"}), "/nonexistent.txt");
  expect_error(bench({"--only", "prompts"}), "expected --prompts FILE");
  expect_error(bench({"--only", "rules", "--temp", "1"}), "expected --draft-model FILE");
  expect_error(bench({"--only", "rules", "--draft-model", kDemoModel}), "--temp above 0");
  expect_error(bench({"--drafters", "model"}), "expected --draft-model FILE");
  expect_error(bench({"--agreement", "2"}), "--agreement 2: expected 0 to 1");
  expect_error(bench({"--lengths", "20"}), "--lengths 20: expected 1 to 16");
  expect_error(bench({"-n", "-1"}), "--predict -1: expected 2");
  expect_error(bench({"--draft-model", "/nonexistent.gguf", "--drafters", "all"}),
               "/nonexistent.gguf");
  expect_usage_error(bench({"--only", "everything"}), "--only");
  expect_usage_error(bench({"--rounds", "0"}), "--rounds");
  test::write_file(prompts_, "{\"turns\": [\"a\"]}\nOnce upon a time\n");
  expect_error(bench({"--prompts", prompts_}), "prompts.jsonl:2: expected a JSON object");
  test::write_file(prompts_, "{\"turns\": [\"a\"]}\n");
  expect_error(bench({"--prompts", prompts_, "--category", "qa"}), "category 'qa'");
  expect_error(ridgeline::test::ridgeline({"bench", "speculate", "-m", "/nonexistent.gguf"}),
               "/nonexistent.gguf");
  expect_error(
      ridgeline::test::ridgeline({"bench", "speculate", "--json", "/nonexistent/report.json"}),
      "/nonexistent/report.json");
}

}  // namespace
}  // namespace ridgeline
