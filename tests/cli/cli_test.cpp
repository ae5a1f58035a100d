// The program as a user runs it: exit codes, sentences on stderr, output.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "tests/cli/program.h"
#include "tests/support/random_model.h"

namespace ridgeline {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

using test::expect_error;
using test::Outcome;
using test::read_file;
using test::ridgeline;
using test::write_file;

class Cli : public testing::Test {
 protected:
  void SetUp() override {
    model_ = test::temporary_path("cli.gguf");
    test::write_random_model(model_, {.dtype = DType::kQ4_0, .tied = true});
  }
  void TearDown() override { std::remove(model_.c_str()); }
  std::string model_;
};

TEST_F(Cli, TheDemoModelTellsAStory) {
  const Outcome o = ridgeline({"run", "-p", "Once upon a time", "-n", "40", "--seed", "1"});
  EXPECT_EQ(o.exit_code, 0) << o.err;
  EXPECT_THAT(o.out, testing::StartsWith("Once upon a time"));
  EXPECT_GT(o.out.size(), 80u);
  EXPECT_THAT(o.err, AllOf(HasSubstr("TTFT"), HasSubstr("decode"), HasSubstr("GB/s")));
}

TEST_F(Cli, NothingIsNeededToSeeIt) {
  const Outcome o = ridgeline({"run", "-n", "5"});
  EXPECT_EQ(o.exit_code, 0) << o.err;
  EXPECT_THAT(o.out, testing::StartsWith("Once upon a time"));
  expect_error(ridgeline({"run", "-m", model_}), "no prompt");
}

TEST_F(Cli, JsonHoldsTheWholeRun) {
  const Outcome o = ridgeline({"run", "-m", model_, "-p", "abc", "-n", "8", "--temp", "0", "--json",
                               "--ignore-eos", "-c", "64", "-t", "2"});
  ASSERT_EQ(o.exit_code, 0) << o.err;
  const json j = json::parse(o.out);
  EXPECT_EQ(j["prompt_ids"].size(), 5u);  // BOS, prefix space, three bytes
  EXPECT_EQ(j["ids"].size(), 8u);
  EXPECT_EQ(j["finish_reason"], "length");
  EXPECT_TRUE(j["text"].is_string());
  EXPECT_GT(j["timings"]["ttft_ms"], 0.0);
  EXPECT_GT(j["memory"]["weight_bytes"], 0);
  EXPECT_GT(j["memory"]["kv_bytes"], 0);
  const Outcome again = ridgeline({"run", "-m", model_, "-p", "abc", "-n", "8", "--temp", "0",
                                   "--json", "--ignore-eos", "-c", "32", "-t", "1"});
  EXPECT_EQ(json::parse(again.out)["ids"], j["ids"]);
}

TEST_F(Cli, PromptComesFromAFileOrStandardInputToo) {
  const auto ids = [&](std::vector<std::string> more, const std::string& input) {
    std::vector<std::string> arguments{"run",    "-m", model_,   "-n", "4",
                                       "--temp", "0",  "--json", "-c", "64"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome o = ridgeline(arguments, input);
    EXPECT_EQ(o.exit_code, 0) << o.err;
    return json::parse(o.out)["prompt_ids"];
  };
  const std::string file = test::temporary_path("prompt.txt");
  write_file(file, "a story");
  EXPECT_EQ(ids({"-p", "a story"}, ""), ids({"-f", file}, ""));
  EXPECT_EQ(ids({"-p", "a story"}, ""), ids({}, "a story"));
  std::remove(file.c_str());
}

TEST_F(Cli, SeedsDecideTheText) {
  const auto text = [&](const char* seed) {
    const Outcome o = ridgeline({"run", "-m", model_, "-p", "x", "-n", "12", "--temp", "1.5",
                                 "--seed", seed, "--json", "--ignore-eos", "-c", "64"});
    return json::parse(o.out)["ids"];
  };
  EXPECT_EQ(text("7"), text("7"));
  EXPECT_NE(text("7"), text("8"));
}

TEST_F(Cli, TokenizeGoesBothWays) {
  const Outcome o = ridgeline({"tokenize", "-m", model_}, "hi");
  ASSERT_EQ(o.exit_code, 0) << o.err;
  EXPECT_EQ(json::parse(o.out), json({1, 3 + ' ', 3 + 'h', 3 + 'i'}));  // BOS, prefix space, bytes
  const Outcome without = ridgeline({"tokenize", "-m", model_, "--no-bos"}, "hi");
  EXPECT_EQ(json::parse(without.out).size() + 1, json::parse(o.out).size());
  EXPECT_EQ(ridgeline({"tokenize", "-m", model_, "--decode"}, o.out).out, "hi");
  expect_error(ridgeline({"tokenize", "-m", model_, "--decode"}, "[1, 900]"), "900 is no token id");
  expect_error(ridgeline({"tokenize", "-m", model_, "--decode"}, "{"), "expected a JSON array");
}

TEST_F(Cli, InspectSaysWhatTheFileNeeds) {
  const Outcome o = ridgeline({"inspect", model_, "--json", "-c", "100"});
  ASSERT_EQ(o.exit_code, 0) << o.err;
  const json j = json::parse(o.out);
  EXPECT_EQ(j["architecture"], "llama");
  EXPECT_EQ(j["config"]["layers"], 2);
  EXPECT_EQ(j["kv"]["F16"]["bytes_per_token"], 2 * 2 * 2 * 64 * 2);
  EXPECT_EQ(j["kv"]["F16"]["bytes"], 2 * 2 * 2 * 64 * 2 * 100);
  EXPECT_EQ(j["kv"]["Q8_0"]["bytes_per_token"], 2 * 2 * 2 * (64 + 2 * 2));
  EXPECT_THAT(ridgeline({"inspect", model_}).out, AllOf(HasSubstr("Q4_0"), HasSubstr("tokenizer")));
}

TEST_F(Cli, EvalPrintsFigures) {
  const std::string text = test::temporary_path("text.txt");
  write_file(text, std::string(300, 'a'));
  const Outcome eval =
      ridgeline({"eval", "-m", model_, "--text", text, "--context", "64", "--json"});
  ASSERT_EQ(eval.exit_code, 0) << eval.err;
  EXPECT_GT(json::parse(eval.out)["nll"], 0.0);
  EXPECT_EQ(json::parse(eval.out)["predicted_tokens"], 4 * 31);  // 4 windows, second halves
  std::remove(text.c_str());
}

TEST_F(Cli, EvalAgainstABase) {
  const std::string text = test::temporary_path("text.txt"),
                    other = test::temporary_path("other.gguf");
  write_file(text, std::string(300, 'a'));
  const std::vector<std::string> arguments{"eval", "-m", model_, "--text", text, "-c", "64"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), arguments.begin(), arguments.end());
    return ridgeline(more);
  };
  // The same file, as it is run and exactly; and twice in the same way.
  const Outcome rounded = with({"--base", model_, "--json"});
  ASSERT_EQ(rounded.exit_code, 0) << rounded.err;
  const json j = json::parse(rounded.out);
  EXPECT_EQ(j["activations"], "fast");
  EXPECT_EQ(j["base"]["model"], model_);
  EXPECT_EQ(j["base"]["activations"], "f32");
  EXPECT_EQ(j["base"]["kv_type"], "f32");
  EXPECT_GT(j["base"]["perplexity"], 0.0);
  EXPECT_GT(j["kl"]["mean"], 0.0);
  EXPECT_GE(j["kl"]["max"], j["kl"]["p99"]);
  EXPECT_LE(j["top1"], 1.0);
  EXPECT_EQ(j["positions"], 4 * 31);
  const json same = json::parse(
      with({"--base", model_, "--base-ctk", "f16", "--base-activations", "fast", "--json"}).out);
  EXPECT_EQ(same["kl"]["max"], 0.0);
  EXPECT_EQ(same["perplexity"], same["base"]["perplexity"]);
  EXPECT_THAT(with({"--base", model_}).out,
              AllOf(HasSubstr("base:"), HasSubstr("KL(base || model)"), HasSubstr("same top")));

  test::write_random_model(other, {.vocab_size = 310});
  expect_error(with({"--base", other}), "the base predicts 310 tokens and the model 300");
  expect_error(with({"--base", "/no/such/file"}), "the base: /no/such/file");
  expect_error(with({"--base", model_, "--base-ctk", "f7"}),
               "the base: --cache-type-k f7: expected");
  expect_usage_error(with({"--base-ctk", "f16"}), "--base");
  for (const std::string& path : {text, other}) std::remove(path.c_str());
}

TEST_F(Cli, ThePackedCacheSaysWhatItDid) {
  const std::string folder = test::temporary_path("packed");
  const std::vector<std::string> arguments{"run", "-m", model_,   "-p", "x",
                                           "-n",  "8",  "--temp", "0"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), arguments.begin(), arguments.end());
    return ridgeline(more);
  };
  const Outcome without = ridgeline(arguments);
  EXPECT_THAT(without.err, Not(HasSubstr("packed cache")));
  const Outcome first = with({"--packed-cache", folder});
  EXPECT_THAT(first.err, HasSubstr("packed cache: wrote " + folder));
  setenv("RIDGELINE_PACKED_CACHE", folder.c_str(), 1);
  const Outcome second = with({"--packed-cache-verify"});
  unsetenv("RIDGELINE_PACKED_CACHE");
  EXPECT_THAT(second.err, AllOf(HasSubstr("packed cache: using " + folder), HasSubstr("verified")));
  EXPECT_EQ(first.out, without.out);
  EXPECT_EQ(second.out, without.out);
  const Outcome refused = with({"--packed-cache", model_});
  EXPECT_EQ(refused.exit_code, 0);
  EXPECT_THAT(refused.err, testing::StartsWith("ridgeline: warning: " + model_));
  EXPECT_EQ(refused.out, without.out);
  std::filesystem::remove_all(folder);
}

TEST_F(Cli, BadInputIsOneSentence) {
  expect_error(ridgeline({"run", "-m", "/nonexistent.gguf", "-p", "x"}), "/nonexistent.gguf");
  expect_error(ridgeline({"run", "-m", "/tmp", "-p", "x"}), "/tmp");
  expect_error(ridgeline({"run", "-m", model_, "-p", ""}), "prompt is empty");
  expect_error(ridgeline({"run", "-m", model_, "-f", "/nonexistent.txt"}), "/nonexistent.txt");
  expect_error(ridgeline({"run", "-m", model_, "-p", std::string(500, 'x'), "-c", "64"}),
               "but the context holds 64");
  expect_error(ridgeline({"run", "-m", model_, "-p", "x", "-ctk", "q9"}), "--cache-type-k q9");
  expect_error(ridgeline({"run", "-m", model_, "-p", "x", "-ctk", "q4_0", "-ctv", "q4_0"}),
               "expected f32, f16, bf16 or q8_0");
  expect_error(ridgeline({"run", "-m", model_, "-p", "x", "-ctk", "f32", "-ctv", "f16"}),
               "--cache-type-v");
  expect_error(ridgeline({"run", "-m", model_, "-p", "x", "--kv-memory", "lots"}),
               "--kv-memory lots");
  expect_error(ridgeline({"run", "-m", model_, "-p", "x", "--kv-memory", "1000T"}),
               "of memory are free");
  expect_error(ridgeline({"run", "-m", model_, "-p", "x", "--temp", "-2"}), "temperature");
  expect_error(ridgeline({"run", "-m", model_, "-p", "x", "--speculate", "off,lookup"}),
               "--speculate off");
  expect_error(
      ridgeline({"run", "-m", model_, "-p", "x", "--speculate", "off", "--draft-max", "4"}),
      "--draft-max");
  expect_error(ridgeline({"run", "-m", model_, "-p", "x", "--draft-rule", "rejection"}),
               "expected --draft-model");
  expect_error(ridgeline({"eval", "-m", model_}), "nothing to score");
  EXPECT_EQ(ridgeline({"run", "--no-such-flag"}).exit_code, 1);
  EXPECT_EQ(ridgeline({}).exit_code, 1);
  EXPECT_EQ(ridgeline({"--help"}).exit_code, 0);
}

TEST_F(Cli, AnUnknownInstructionSetIsNamed) {
  setenv("RIDGELINE_ISA", "mmx", 1);
  expect_error(ridgeline({"run", "-m", model_, "-p", "x"}), "'mmx'");
  unsetenv("RIDGELINE_ISA");
}

TEST_F(Cli, TruncatedFilesAreRefused) {
  const std::string whole = read_file(model_);
  const std::string part = test::temporary_path("part.gguf");
  for (const double share : {0.0, 0.0001, 0.01, 0.03, 0.5, 0.999}) {
    write_file(
        part, whole.substr(0, static_cast<std::size_t>(share * static_cast<double>(whole.size()))));
    expect_error(ridgeline({"run", "-m", part, "-p", "x"}), part);
  }
  std::remove(part.c_str());
}

TEST_F(Cli, DamagedWeightsAndForeignArchitecturesAreNamed) {
  const std::string path = test::temporary_path("bad.gguf");
  test::write_random_model(
      path, {.dtype = DType::kF16, .planted = std::numeric_limits<float>::quiet_NaN()});
  const Outcome o = ridgeline({"run", "-m", path, "-p", "x", "--no-display-prompt"});
  EXPECT_EQ(o.exit_code, 1);
  EXPECT_THAT(o.err, Not(testing::IsEmpty()));
  test::write_random_model(path, {.architecture = "mamba"});
  expect_error(ridgeline({"run", "-m", path, "-p", "x"}), "architecture 'mamba' is not supported");
  std::remove(path.c_str());
}

}  // namespace
}  // namespace ridgeline
