// `ridgeline doctor` as a user runs it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/cli/program.h"

namespace ridgeline {
namespace {

using nlohmann::json;
using test::ridgeline;
using testing::AllOf;
using testing::HasSubstr;

TEST(Doctor, SaysWhatItFindsOfTheMachine) {
  const test::Outcome o = ridgeline({"doctor"});
  EXPECT_EQ(o.exit_code, 0) << o.err;
  EXPECT_THAT(o.out, AllOf(HasSubstr("instruction set"), HasSubstr("memory bandwidth"),
                           HasSubstr("huge pages"), HasSubstr("items in order")));
}

TEST(Doctor, PredictsTheDemoModelAndMeasuresIt) {
  const std::string model = RIDGELINE_SOURCE_DIR "/models/fireside-q8_0.gguf";
  const test::Outcome o = ridgeline({"doctor", "-m", model, "--json"});
  ASSERT_EQ(o.exit_code, 0) << o.err;
  const json j = json::parse(o.out);
  EXPECT_GT(j["machine"]["all_threads"]["read_bytes_per_second"], 0.0);
  for (const json& f : j["findings"])
    EXPECT_THAT(f["severity"].get<std::string>(), testing::AnyOf("ok", "advice", "warning"));
  const json& m = j["model"];
  EXPECT_TRUE(m["fits"].get<bool>());
  EXPECT_EQ(m["types_compared"][0]["current"], true);
  ASSERT_EQ(m["measured"].size(), 2u);
  EXPECT_EQ(m["measured"][0]["test"], "prefill");
  EXPECT_GT(m["measured"][1]["measured_tokens_per_second"], 0.0);
  EXPECT_EQ(m["scenarios"].size(), 4u);
  EXPECT_GT(m["predicted"]["decode"][0]["tokens_per_second"], 0.0);
  EXPECT_EQ(m["memory"]["weight_bytes"], m["measured_memory"]["weight_bytes"]);
}

TEST(Doctor, AdvisesCommandsThatRun) {
  const std::string model = test::temporary_path("doctor-cli.gguf");
  test::write_random_model(model, {.dtype = DType::kF16});
  const test::Outcome o = ridgeline({"doctor", "-m", model, "--no-measure", "--json"});
  ASSERT_EQ(o.exit_code, 0) << o.err;
  const json m = json::parse(o.out)["model"];
  EXPECT_FALSE(m.contains("measured"));
  for (const char* name : {"chat", "embedded"}) {
    const auto scenario = std::ranges::find_if(
        m["scenarios"], [&](const json& s) { return s["name"] == std::string(name); });
    ASSERT_NE(scenario, m["scenarios"].end());
    std::vector<std::string> words;
    std::istringstream text((*scenario)["command"].get<std::string>());
    for (std::string word; text >> word;)
      // The file that would have to be made first is not: flags are what matters.
      words.push_back(word == "PROMPT"                         ? "abc"
                      : !words.empty() && words.back() == "-m" ? model
                                                               : word);
    ASSERT_EQ(words.front(), "ridgeline");
    words.erase(words.begin());
    if (words.front() == "run") words.insert(words.end(), {"-n", "2"});
    const test::Outcome run = ridgeline(words);
    EXPECT_EQ(run.exit_code, 0) << (*scenario)["command"] << run.err;
  }
  std::remove(model.c_str());
}

TEST(Doctor, WhatCannotRunHereIsAnError) {
  test::expect_error(ridgeline({"doctor", "-m", "/nowhere/model.gguf"}), "/nowhere/model.gguf");
  const std::string file = test::temporary_path("doctor-bad.gguf");
  test::write_file(file, "GGUF, but not quite");
  test::expect_error(ridgeline({"doctor", "-m", file}), file);
  std::remove(file.c_str());
  test::expect_usage_error(ridgeline({"doctor", "--context"}), "");
  // A context that no machine holds: said in full, and then refused.
  const std::string model = RIDGELINE_SOURCE_DIR "/models/fireside-q8_0.gguf";
  const test::Outcome o =
      ridgeline({"doctor", "-m", model, "-c", "1000000000", "--no-measure", "--json"});
  EXPECT_EQ(o.exit_code, 1);
  EXPECT_THAT(o.err, HasSubstr("KV cache for a context of 1000000000"));
  EXPECT_FALSE(json::parse(o.out)["model"]["fits"].get<bool>());
}

}  // namespace
}  // namespace ridgeline
