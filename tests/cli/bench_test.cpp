// `ridgeline bench` as a user runs it, with settings that take no time.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/cli/program.h"

namespace ridgeline {
namespace {

using nlohmann::json;
using test::expect_error;
using test::expect_usage_error;
using test::Outcome;
using test::ridgeline;
using test::write_file;
using testing::AllOf;
using testing::HasSubstr;

const char* const kDemoModel = RIDGELINE_SOURCE_DIR "/models/fireside-q8_0.gguf";

std::vector<std::string> lines(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> all;
  for (std::string line; std::getline(stream, line);) all.push_back(line);
  return all;
}

Outcome bench_model(std::vector<std::string> more) {
  std::vector<std::string> arguments{"bench", "model", "-m", kDemoModel, "-t", "1", "-r", "2"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return ridgeline(arguments);
}

TEST(BenchModel, EveryLineHasItsPlaceOnTheRoofline) {
  const Outcome o = bench_model({"-p", "8", "-n", "2", "-d", "0,20", "--json"});
  ASSERT_EQ(o.exit_code, 0) << o.err;
  const json j = json::parse(o.out);
  EXPECT_GT(j["prefill_tokens_per_second"], 0.0);
  EXPECT_GT(j["decode_tokens_per_second"], 0.0);
  EXPECT_GT(j["ceilings_before"]["read_bytes_per_second"], 0.0);
  EXPECT_GT(j["ceilings_after"]["f32_ops_per_second"], 0.0);
  ASSERT_EQ(j["results"].size(), 2u * 2u);
  for (const json& line : j["results"]) {
    EXPECT_EQ(line["seconds"].size(), 2u);
    for (const char* key : {"tokens_per_second", "bytes_per_second", "ops_per_second",
                            "ops_per_byte", "ridge_ops_per_byte", "share_of_ceiling"})
      EXPECT_GT(line[key], 0.0) << key;
    EXPECT_EQ(line["bound_by"] == "compute", line["ops_per_byte"] >= line["ridge_ops_per_byte"]);
    EXPECT_NEAR(
        line["tokens_per_second"].get<double>(),
        line["ceiling_tokens_per_second"].get<double>() * line["share_of_ceiling"].get<double>(),
        1e-6 * line["tokens_per_second"].get<double>());
  }
}

TEST(BenchModel, SweepsOverEveryList) {
  const Outcome o = bench_model({"-p", "8,16", "-n", "2", "-d", "20,0", "-b", "1,3",
                                 "--no-ceilings", "--batch-tokens", "10", "--json"});
  ASSERT_EQ(o.exit_code, 0) << o.err;
  const json j = json::parse(o.out);
  EXPECT_FALSE(j.contains("ceilings_before"));
  ASSERT_EQ(j["results"].size(), 2u * 2u * 3u);
  EXPECT_EQ(j["results"][0]["test"], "prefill");
  EXPECT_EQ(j["results"][0]["depth"], 0);  // the shallowest first
  EXPECT_EQ(j["results"][11]["test"], "decode");
  EXPECT_EQ(j["results"][11]["depth"], 20);
  EXPECT_EQ(j["results"][11]["streams"], 3);
  for (const json& line : j["results"]) {
    EXPECT_GT(line["tokens_per_second"], 0.0);
    EXPECT_TRUE(line["share_of_ceiling"].is_null());
  }
}

TEST(BenchModel, TableAndCsvHaveALineEach) {
  const Outcome table = bench_model({"-p", "8", "-n", "2"});
  ASSERT_EQ(table.exit_code, 0) << table.err;
  EXPECT_THAT(table.out, AllOf(HasSubstr("Ceilings before: read "), HasSubstr("| prefill "),
                               HasSubstr("| decode "), HasSubstr("share, %")));
  const Outcome csv = bench_model({"-p", "8", "-n", "2", "--no-ceilings", "--output", "csv"});
  ASSERT_EQ(csv.exit_code, 0) << csv.err;
  const auto rows = lines(csv.out);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_THAT(rows[0], testing::StartsWith("test,tokens,depth,streams,tokens_per_second,"));
  EXPECT_THAT(rows[1], testing::StartsWith("prefill,8,0,1,"));
  for (const std::string& row : rows)
    EXPECT_EQ(std::ranges::count(row, ','), std::ranges::count(rows[0], ',')) << row;
}

TEST(BenchModel, NonsenseIsOneSentence) {
  expect_error(bench_model({"-b", "0"}), "--streams 0: expected 1");
  expect_error(bench_model({"-d", "-5"}), "--n-depth -5: expected 0");
  expect_error(bench_model({"-p", "0", "-n", "0"}), "nothing to measure");
  expect_error(bench_model({"-p", "16", "-n", "28", "-d", "100", "-c", "64"}),
               "needs 128 positions");
  expect_usage_error(bench_model({"-p", "ten"}), "--n-prompt");
  expect_usage_error(bench_model({"-r", "0"}), "--repetitions");
  expect_usage_error(bench_model({"--output", "xml"}), "--output");
  expect_error(ridgeline({"bench", "model", "-m", "/nonexistent.gguf"}), "/nonexistent.gguf");
  expect_usage_error(ridgeline({"bench"}), "subcommand is required");
}

Outcome bench_kernels(std::vector<std::string> more) {
  std::vector<std::string> arguments{"bench", "kernels", "-t", "1", "--seconds-per-case", "0.001"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return ridgeline(arguments);
}

TEST(BenchKernels, CeilingsAndProducts) {
  const Outcome o = bench_kernels(
      {"--only", "ceilings,matmul", "--format", "q4_0", "--isa", "generic", "--json"});
  ASSERT_EQ(o.exit_code, 0) << o.err;
  const json j = json::parse(o.out);
  int products = 0;
  for (const json& line : j["results"]) {
    EXPECT_EQ(line["isa"], "generic");
    if (line["section"] == "matmul") {
      ++products;
      EXPECT_EQ(line["format"], "Q4_0");
      EXPECT_GT(line["ops_per_second"], 0.0);
      EXPECT_GT(line["share_of_ceiling"], 0.0);
    }
  }
  EXPECT_EQ(products, 2 * 7);  // in L2 and in memory, seven numbers of rows
}

TEST(BenchKernels, AttentionWithAndWithoutAScoreMatrix) {
  const Outcome o = bench_kernels({"--only", "attention", "--longest-prompt", "600", "--json"});
  ASSERT_EQ(o.exit_code, 0) << o.err;
  const json results = json::parse(o.out)["results"];
  ASSERT_GE(results.size(), 2u);
  EXPECT_EQ(results[0]["what"], "attention, score matrix");
  EXPECT_EQ(results[1]["what"], "attention, tiles");
  EXPECT_GT(results[0]["memory_bytes"], 512.0 * 512 * 4);
  EXPECT_LT(results[1]["memory_bytes"], results[0]["memory_bytes"]);
  EXPECT_GT(results[1]["times_other"], 0.0);
}

TEST(BenchKernels, UnalignedLoadsAndCsv) {
  const Outcome o = bench_kernels({"--only", "memory", "--format", "f32", "--output", "csv"});
  ASSERT_EQ(o.exit_code, 0) << o.err;
  EXPECT_THAT(o.out, AllOf(HasSubstr("loads from L1, aligned"), HasSubstr("4 bytes off")));
  EXPECT_GE(lines(o.out).size(), 7u);
}

TEST(BenchKernels, NonsenseIsOneSentence) {
  expect_error(bench_kernels({"--format", "q9"}), "--format q9");
  expect_error(bench_kernels({"--isa", "mmx", "--only", "ceilings"}), "--isa mmx");
  expect_usage_error(bench_kernels({"--only", "everything"}), "--only");
}

/// A folder with a rival that prints a recorded report.
class BenchCompare : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = test::temporary_path("rivals");
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string add(const std::string& program, const std::string& script) {
    const std::string path = folder_ + "/" + program;
    write_file(path, "#!/bin/sh\n" + script + "\n");
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }
  std::string recorded(const std::string& file) {
    return "cat '" RIDGELINE_SOURCE_DIR "/tests/data/rivals/" + file + "'";
  }
  Outcome compare(std::vector<std::string> more) {
    std::vector<std::string> arguments{"bench", "compare", "-m", kDemoModel, "-t",
                                       "1",     "--pause", "0",  "-r",       "2"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return ridgeline(arguments);
  }
  std::string folder_;
};

TEST_F(BenchCompare, RatiosOverTheRounds) {
  const std::string bench = add("llama-bench", recorded("llama-bench.json"));
  add("llama-batched-bench", recorded("llama-batched-bench.txt"));
  const Outcome o = compare({"--rival", "a=" + bench, "--rival", "b=" + bench, "-p", "16", "-n",
                             "4", "-b", "1,4", "--stream-depth", "16", "--json"});
  ASSERT_EQ(o.exit_code, 0) << o.err;
  const json j = json::parse(o.out);
  EXPECT_EQ(j["not_measured"].size(), 0u) << o.err;
  ASSERT_EQ(j["results"].size(), 3u * 4u);  // prefill, decode, four streams; ours, a, b, the best
  const json& ours = j["results"][0];
  const json& rival = j["results"][1];
  EXPECT_EQ(ours["engine"], "ridgeline");
  EXPECT_EQ(rival["engine"], "a");
  EXPECT_NEAR(rival["median"].get<double>(), 12469.255, 0.01);
  ASSERT_EQ(ours["samples"].size(), 2u);
  EXPECT_NEAR(rival["ridgeline_is_times_better"].get<double>(),
              (ours["samples"][0].get<double>() + ours["samples"][1].get<double>()) / 2 / 12469.255,
              1e-4);
  EXPECT_EQ(j["results"][3]["engine"], "best of them");
  EXPECT_EQ(j["results"][8]["streams"], 4);
  EXPECT_NEAR(j["results"][9]["median"].get<double>(), 9096.08, 0.01);
}

TEST_F(BenchCompare, ARivalThatFailsIsNamedAndTheOthersGoOn) {
  const std::string good = add("llama-bench", recorded("llama-bench.json"));
  std::filesystem::create_directories(folder_ + "/bad");
  const std::string bad = add("bad/llama-bench", "echo 'illegal instruction' >&2; exit 4");
  const Outcome o = compare({"--rival", "good=" + good, "--rival", "bad=" + bad, "-p", "16", "-n",
                             "0", "--output", "csv"});
  ASSERT_EQ(o.exit_code, 0) << o.err;
  EXPECT_THAT(o.err, HasSubstr("bad: exit code 4: illegal instruction"));
  EXPECT_EQ(lines(o.out).size(), 3u) << o.out;
  add("bad/llama-bench", "echo hello");
  const Outcome strange = compare({"--rival", "bad=" + bad, "-p", "16", "-n", "0"});
  EXPECT_THAT(strange.err, HasSubstr("it printed \"hello"));
}

TEST_F(BenchCompare, LoadTimesTheFirstTokenAndTheMemory) {
  const std::string rival = add("llama-cli", "sleep 0.1; echo once");
  const Outcome o = compare({"--load", "--rival", "a=" + rival, "-c", "64", "--json"});
  ASSERT_EQ(o.exit_code, 0) << o.err;
  const json results = json::parse(o.out)["results"];
  ASSERT_EQ(results.size(), 3u * 2u);
  EXPECT_EQ(results[0]["figure"], "first token");
  EXPECT_GT(results[0]["median"], 0.0);
  EXPECT_GE(results[1]["median"], 0.1);
  EXPECT_EQ(results[4]["figure"], "peak memory");
  EXPECT_GT(results[4]["median"], 5.0);
}

TEST_F(BenchCompare, NonsenseIsOneSentence) {
  const std::string bench = add("llama-bench", "true");
  expect_error(compare({"--rival", "llama-bench"}), "expected NAME=COMMAND");
  expect_error(compare({"--rival", "a=" + bench, "-p", "0", "-n", "0"}), "nothing to measure");
  expect_error(compare({"--rival", "a=" + bench, "-b", "0"}), "--streams 0");
  expect_error(ridgeline({"bench", "compare", "-m", "/nonexistent.gguf"}), "/nonexistent.gguf");
  expect_usage_error(ridgeline({"bench", "compare"}), "--model");
}

}  // namespace
}  // namespace ridgeline
