// `ridgeline quantize` as a user runs it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/cli/program.h"
#include "tests/support/random_model.h"

namespace ridgeline {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::expect_error;
using test::Outcome;
using test::read_file;
using test::ridgeline;
using testing::AllOf;
using testing::HasSubstr;

class Quantize : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "quantize_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    test::write_random_model(path("in.gguf"), {.dtype = DType::kF16, .layers = 4});
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path(const char* name) const { return folder_ / name; }
  Outcome quantize(std::vector<std::string> more) const {
    std::vector<std::string> arguments{"quantize", path("in.gguf"), path("out.gguf"), "-t", "2"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return ridgeline(arguments);
  }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_))
      names.push_back(entry.path().filename().string());
    return names;
  }

  fs::path folder_;
};

TEST_F(Quantize, WritesAModelThatRunsAndItsReport) {
  const Outcome o = quantize({"--type", "q4_k_m"});
  ASSERT_EQ(o.exit_code, 0) << o.err;
  EXPECT_THAT(o.out, AllOf(HasSubstr("SQNR dB"), HasSubstr("ffn_down"), HasSubstr("Q6_K"),
                           HasSubstr("bits per weight, method nearest")));
  EXPECT_THAT(files(), testing::UnorderedElementsAre("in.gguf", "out.gguf", "out.gguf.report.json",
                                                     "out.gguf.report.html"));
  const json report = json::parse(read_file(path("out.gguf.report.json")));
  EXPECT_EQ(report["target"]["type"], "Q4_K_M");
  EXPECT_THAT(read_file(path("out.gguf.report.html")), HasSubstr("<html"));
  const Outcome run = ridgeline({"run", "-m", path("out.gguf"), "-p", "abc", "-n", "4"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
}

TEST_F(Quantize, ADryRunWritesNothing) {
  const Outcome o = quantize({"--type", "Q4_0", "--dry-run"});
  ASSERT_EQ(o.exit_code, 0) << o.err;
  EXPECT_THAT(o.out, AllOf(HasSubstr("blk.3.ffn_down.weight"), HasSubstr("token_embd.weight")));
  const Outcome as_json =
      quantize({"--type", "Q4_0", "--tensor-type", "ffn_down=Q8_0", "--dry-run", "--json"});
  const json plan = json::parse(as_json.out);
  EXPECT_EQ(plan["type"], "Q4_0");
  std::size_t bytes = 0;
  for (const json& t : plan["tensors"]) {
    bytes += t["bytes"].get<std::size_t>();
    if (t["name"] == "blk.2.ffn_down.weight") {
      EXPECT_EQ(t["to"], "Q8_0");
    }
  }
  EXPECT_EQ(plan["bytes"], bytes);
  EXPECT_THAT(files(), testing::ElementsAre("in.gguf"));
}

TEST_F(Quantize, AnswersWithOneObject) {
  const Outcome o = quantize({"--type", "Q8_0", "--json", "--no-report"});
  ASSERT_EQ(o.exit_code, 0) << o.err;
  EXPECT_EQ(json::parse(o.out)["target"]["type"], "Q8_0");
  EXPECT_THAT(files(), testing::UnorderedElementsAre("in.gguf", "out.gguf"));
}

/// A text long enough to calibrate and to measure with.
void write_text(const std::string& path) {
  std::ofstream file(path);
  for (int i = 0; i < 600; ++i) file << "word " << i * i << " and ";
}

TEST_F(Quantize, GptqLearnsFromATextAndIsMeasured) {
  write_text(path("text.txt"));
  const auto loss = [&](std::vector<std::string> method) {
    for (const char* more :
         {"--type", "Q4_0", "-c", "64", "--calibration-tokens", "1024", "--json", "--calibration"})
      method.push_back(more);
    method.push_back(path("text.txt"));
    const Outcome o = quantize(method);
    EXPECT_EQ(o.exit_code, 0) << o.err;
    return json::parse(o.out)["eval"]["kl"]["mean"].get<double>();
  };
  const double nearest = loss({"--method", "nearest"}), gptq = loss({"--method", "gptq"});
  const double compensated = loss({"--method", "gptq", "--compensation", "0.5"});
  EXPECT_GT(gptq, 0);
  EXPECT_LT(gptq, nearest);
  EXPECT_LT(compensated, nearest);
  EXPECT_NE(compensated, gptq);
}

TEST_F(Quantize, FitsASize) {
  write_text(path("text.txt"));
  const Outcome o =
      quantize({"--target-bpw", "4.6", "-c", "64", "--calibration-tokens", "512", "--save-imatrix",
                path("matrix.gguf"), "--json", "--no-eval", "--calibration", path("text.txt")});
  ASSERT_EQ(o.exit_code, 0) << o.err;
  const double bits = json::parse(o.out)["target"]["bits_per_weight"];
  EXPECT_LE(bits, 4.6);
  EXPECT_GT(bits, 4.2);
  EXPECT_TRUE(fs::exists(path("matrix.gguf")));
  expect_error(quantize({"--target-bpw", "1", "--calibration", path("text.txt"), "-c", "64"}), "");
  expect_error(quantize({"--target-bpw", "4", "--dry-run"}), "--dry-run: which types fit");
  expect_error(quantize({"--type", "Q4_0", "--refinements", "2"}), "only --method gptq has a use");
}

TEST_F(Quantize, Refuses) {
  expect_error(quantize({"--type", "Q9"}), "'Q9' is no type that files are quantized to");
  expect_error(quantize({"--type", "Q4_0", "--tensor-type", "ffn"}),
               "--tensor-type ffn: expected PATTERN=TYPE");
  expect_error(quantize({"--type", "Q4_0", "--method", "best"}), "--method best: is not known");
  expect_error(ridgeline({"quantize", path("in.gguf"), path("in.gguf"), "--type", "Q4_0"}),
               "is the model that is read");
  expect_error(ridgeline({"quantize", path("none"), path("out.gguf"), "--type", "Q4_0"}),
               "No such file");
  EXPECT_THAT(files(), testing::ElementsAre("in.gguf"));
}

/// As if the disk were full: no file may become that large.
TEST_F(Quantize, NoRoomIsASentence) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit small = before;
  small.rlim_cur = 100'000;
  std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const Outcome o = quantize({"--type", "Q8_0"});
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, SIG_DFL);
  expect_error(o, "out.gguf: cannot reserve");
  EXPECT_THAT(files(), testing::ElementsAre("in.gguf"));
}

/// Starts a conversion that takes a second or so, and ends it by a signal.
void end_by(int signal, const std::string& in, const std::string& out) {
  const pid_t child = fork();
  if (child == 0) {
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, 1);
    dup2(null, 2);
    execl(RIDGELINE_BINARY_DIR "/ridgeline", "ridgeline", "quantize", in.c_str(), out.c_str(),
          "--type", "Q3_K_M", "-t", "1", nullptr);
    _exit(127);
  }
  // Until the temporary file is there.
  const auto has_begun = [&] {
    for (const auto& entry : fs::directory_iterator(fs::path(out).parent_path()))
      if (entry.path().extension() == ".tmp") return true;
    return false;
  };
  for (int i = 0; i < 3000 && !has_begun(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  kill(child, signal);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_FALSE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "it was too quick";
}

TEST_F(Quantize, NothingIsLeftUnderTheTargetsName) {
  test::write_random_model(path("in.gguf"), {.dtype = DType::kF16, .layers = 24});
  end_by(SIGINT, path("in.gguf"), path("out.gguf"));
  EXPECT_THAT(files(), testing::ElementsAre("in.gguf"));
  end_by(SIGKILL, path("in.gguf"), path("out.gguf"));
  EXPECT_FALSE(fs::exists(path("out.gguf")));
  EXPECT_EQ(files().size(), 2U);  // the temporary file, which the next one removes
  const Outcome o = quantize({"--type", "Q8_0", "--no-report"});
  ASSERT_EQ(o.exit_code, 0) << o.err;
  EXPECT_THAT(files(), testing::UnorderedElementsAre("in.gguf", "out.gguf"));
}

}  // namespace
}  // namespace ridgeline
