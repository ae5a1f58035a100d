#include "ridgeline/tools/compare_engines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/random_model.h"

namespace ridgeline {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// A folder with programs of llama.cpp's names, which print their help.
class CompareEngines : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = test::temporary_path("rivals");
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string add(const std::string& program, const std::string& help) {
    const std::string path = folder_ + "/" + program;
    std::ofstream(path) << "#!/bin/sh\necho ' " << help << "'\n";
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }
  ComparedEngine engine(const std::vector<std::string>& texts) {
    const auto engines = parse_engines(texts);
    EXPECT_TRUE(engines) << engines.error().message;
    EXPECT_EQ(engines->size(), 1u);
    return engines->front();
  }
  std::string folder_;
};

TEST_F(CompareEngines, NeighboursOfABareProgramAreFound) {
  const std::string bench = add("llama-bench", "-d, --n-depth <n>");
  add("llama-batched-bench", "");
  EXPECT_TRUE(engine({"a=" + bench}).has(EngineProgram::kBatchedBench));
  EXPECT_FALSE(engine({"a=" + bench}).has(EngineProgram::kSweepBench));
  // Arguments may mean something else to the neighbour.
  EXPECT_FALSE(engine({"a=" + bench + " -rtr 1"}).has(EngineProgram::kBatchedBench));
  EXPECT_TRUE(engine({"a=" + bench + " -rtr 1", "a=" + folder_ + "/llama-batched-bench -rtr"})
                  .has(EngineProgram::kBatchedBench));
}

TEST_F(CompareEngines, CommandsForEverySetting) {
  const std::string bench = add("llama-bench", "-d, --n-depth <n>");
  const std::string batched = add("llama-batched-bench", "");
  const ComparedEngine a = engine({"a=env X=1 " + bench, "a=" + batched});
  const auto plain = bench_command(a, {512, 32, 0, 1}, "/m.gguf", 2);
  ASSERT_TRUE(plain);
  EXPECT_THAT(plain->arguments, ElementsAre("env", "X=1", bench, "-m", "/m.gguf", "-t", "2", "-r",
                                            "1", "-o", "json", "-p", "512", "-n", "32"));
  const auto deep = bench_command(a, {512, 32, 7680, 1}, "/m.gguf", 2);
  ASSERT_TRUE(deep);
  EXPECT_THAT(deep->arguments, testing::Contains("7680"));
  const auto streams = bench_command(a, {0, 32, 128, 8}, "/m.gguf", 2);
  ASSERT_TRUE(streams);
  EXPECT_THAT(streams->arguments, ElementsAre(batched, "-m", "/m.gguf", "-t", "2", "-c", "2048",
                                              "-npp", "128", "-ntg", "32", "-npl", "8"));
}

TEST_F(CompareEngines, DepthWithoutTheOptionIsReachedByASweepOrAPrompt) {
  const std::string bench = add("llama-bench", "-gp <pp,tg>");
  const auto prompt = bench_command(engine({"ik=" + bench}), {512, 32, 1024, 1}, "/m.gguf", 2);
  ASSERT_TRUE(prompt);
  EXPECT_THAT(prompt->arguments, testing::IsSupersetOf({"-gp", "1024,32"}));
  const std::string sweep = add("llama-sweep-bench", "--sweep-stride N");
  const auto swept = bench_command(engine({"ik=" + bench}), {512, 32, 1024, 1}, "/m.gguf", 2);
  ASSERT_TRUE(swept);
  EXPECT_THAT(swept->arguments, ElementsAre(sweep, "-m", "/m.gguf", "-c", "1536", "-ub", "512",
                                            "-n", "32", "-t", "2", "--sweep-stride", "2"));
  std::filesystem::remove(sweep);
  add("llama-bench", "nothing of the kind");
  const auto none = bench_command(engine({"ik=" + bench}), {512, 32, 1024, 1}, "/m.gguf", 2);
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("depth 1024"));
  EXPECT_FALSE(bench_command(engine({"ik=" + bench}), {0, 32, 64, 4}, "/m.gguf", 2));
}

TEST_F(CompareEngines, BadTextsAreNamed) {
  const auto error = [](const std::string& text) {
    const auto engines = parse_engines({text});
    return engines ? "none" : engines.error().message;
  };
  EXPECT_THAT(error("llama-bench"), HasSubstr("expected NAME=COMMAND"));
  EXPECT_THAT(error("=llama-bench"), HasSubstr("expected NAME=COMMAND"));
  EXPECT_THAT(error("a="), HasSubstr("expected a command with"));
  EXPECT_THAT(error("a=cat x"), HasSubstr("expected a command with"));
  EXPECT_THAT(error("a=/nonexistent/llama-bench"), HasSubstr("no program /nonexistent"));
  EXPECT_THAT(error("a='x"), HasSubstr("open quote"));
  const std::string bench = add("llama-bench", "");
  EXPECT_FALSE(parse_engines({"a=" + bench, "a=" + bench}));
}

TEST_F(CompareEngines, LoadNeedsAProgramThatWrites) {
  const std::string bench = add("llama-bench", ""), cli = add("llama-cli", "");
  EXPECT_FALSE(load_command(engine({"a=" + bench}), "/m.gguf", 2, 512));
  const auto command = load_command(engine({"a=" + cli + " -no-cnv"}), "/m.gguf", 2, 512);
  ASSERT_TRUE(command);
  EXPECT_THAT(*command, testing::IsSupersetOf({"-no-cnv", "-c", "512", "-n", "1"}));
}

TEST(ComparedSetting, WantsWhatItAskedFor) {
  const ComparedSetting setting{512, 32, 1024, 1};
  EXPECT_TRUE(setting.wants({Workload::Kind::kPrefill, 512, 1024, 1}));
  EXPECT_TRUE(setting.wants({Workload::Kind::kDecode, 32, 1024, 1}));
  EXPECT_FALSE(setting.wants({Workload::Kind::kPrefill, 512, 0, 1}));
  EXPECT_FALSE(setting.wants({Workload::Kind::kDecode, 32, 1024, 4}));
  EXPECT_FALSE((ComparedSetting{0, 32, 0, 1}).wants({Workload::Kind::kPrefill, 0, 0, 1}));
}

}  // namespace
}  // namespace ridgeline
