// Models of the hub as a user gets them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spawn.h>

#include <atomic>
#include <csignal>
#include <filesystem>

#include "tests/cli/program.h"
#include "tests/support/fake_hub.h"

namespace ridgeline {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::HttpReply;
using test::HttpRequest;
using test::Outcome;
using test::ridgeline;
using testing::AllOf;
using testing::HasSubstr;

constexpr const char* kFile = "tiny-Q4_0.gguf";

class Pull : public testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(home_);
    setenv("HF_HOME", home_.c_str(), 1);
    setenv("HF_ENDPOINT", server_.url().c_str(), 1);
    setenv("no_proxy", "*", 1);
    for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN",
                             "TRANSFORMERS_OFFLINE", "HUGGING_FACE_HUB_TOKEN"})
      unsetenv(name);
  }
  void TearDown() override {
    fs::remove_all(home_);
    for (const char* name : {"HF_HOME", "HF_ENDPOINT", "HF_HUB_OFFLINE"}) unsetenv(name);
  }
  void add_random_model() {
    const std::string path = test::temporary_path("tiny.gguf");
    test::write_random_model(path, {.dtype = DType::kQ4_0});
    hub_.add(kFile, test::read_file(path));
    fs::remove(path);
  }
  std::string snapshot(const std::string& file) const {
    return home_ + "/hub/models--owner--model/snapshots/" + hub_.commit + "/" + file;
  }

  const std::string home_ = test::temporary_path("hf");
  test::FakeHub hub_;
  test::HttpServer server_{[this](const HttpRequest& r) { return hub_(r); }};
};

TEST_F(Pull, PrintsThePathAndNothingElse) {
  add_random_model();
  const Outcome o = ridgeline({"pull", "hf:owner/model", "--jobs", "2"});
  EXPECT_EQ(o.exit_code, 0) << o.err;
  EXPECT_EQ(o.out, snapshot(kFile) + "\n");
  EXPECT_THAT(o.err, AllOf(HasSubstr("downloading 1 file of owner/model"), HasSubstr("100 %"),
                           HasSubstr("checked")));
  const Outcome again = ridgeline({"pull", "owner/model:q4_0", "--revision", hub_.commit});
  EXPECT_EQ(again.out, o.out);
  EXPECT_EQ(again.err, "");
}

TEST_F(Pull, ListsWhatThereIs) {
  hub_.add("m-Q4_K_M.gguf", std::string(2000, 'x'));
  hub_.add("m-Q8_0.gguf", std::string(4000, 'x'));
  const Outcome o = ridgeline({"pull", "hf:owner/model", "--list"});
  EXPECT_EQ(o.exit_code, 0) << o.err;
  EXPECT_EQ(o.out, "*  2.00 kB  m-Q4_K_M.gguf\n   4.00 kB  m-Q8_0.gguf\n");
  EXPECT_THAT(o.err, HasSubstr("2.00 kB that pull fetches"));
  EXPECT_FALSE(fs::exists(snapshot("")));
}

TEST_F(Pull, EveryCommandTakesModelsOfTheHub) {
  add_random_model();
  const std::vector<std::string> run{
      "run", "-m", "hf:owner/model", "-p", "abc", "-n", "4", "--temp", "0", "-c", "64"};
  const Outcome first = ridgeline(run);
  EXPECT_EQ(first.exit_code, 0) << first.err;
  server_.forget_requests();
  setenv("HF_HUB_OFFLINE", "1", 1);
  EXPECT_EQ(ridgeline(run).out, first.out);
  EXPECT_EQ(ridgeline({"tokenize", "-m", "hf:owner/model:Q4_0"}, "hi").exit_code, 0);
  EXPECT_THAT(ridgeline({"inspect", "hf:owner/model"}).out, HasSubstr(snapshot(kFile)));
  EXPECT_THAT(server_.requests(), testing::IsEmpty());
  expect_error(ridgeline({"run", "-m", "hf:owner/other", "-p", "x"}), "HF_HUB_OFFLINE forbids");
  expect_error(ridgeline({"bench", "compare", "-m", "hf:owner/other"}), "HF_HUB_OFFLINE forbids");
}

TEST_F(Pull, ErrorsAreOneSentence) {
  add_random_model();
  expect_error(ridgeline({"pull", "hf:owner/absent"}), "owner/absent at main: not found");
  expect_error(ridgeline({"pull", "hf:owner/model:Q5_K_M"}), "tiny-Q4_0.gguf");
  expect_error(ridgeline({"pull", "hf:owner/../x"}), "no repository's name");
  expect_error(ridgeline({"pull", "hf:owner/model@a", "--revision", "b"}), "--revision b");
  expect_error(ridgeline({"pull", "hf:owner/model", "--revision", "../b"}), "--revision ../b");
  expect_error(ridgeline({"run", "-m", "hf:", "-p", "x"}), "hf:owner/repo");
}

class Interrupted : public Pull, public testing::WithParamInterface<int> {};

TEST_P(Interrupted, LeavesNoFileThatLoadsAndGoesOn) {
  // Two segments, and a little: the third request comes when two are there.
  hub_.add("m-Q4_0.gguf", test::noise((64 << 20) + 1000, 1));
  std::atomic<pid_t> child = 0;
  std::atomic<int> downloads = 0;
  hub_.fault = [&](const HttpRequest& r) -> std::optional<HttpReply> {
    if (r.path.find("/resolve/") == std::string::npos || ++downloads < 3) return std::nullopt;
    HttpReply reply = hub_.serve(r, "m-Q4_0.gguf");
    reply.body_sent = 500;
    reply.stalls = true;
    while (child == 0) std::this_thread::yield();
    kill(child, GetParam());
    return reply;
  };
  const std::string err = test::temporary_path("err");
  std::string program = RIDGELINE_BINARY_DIR "/ridgeline", pull = "pull", model = "hf:owner/model",
              jobs = "-j1";
  char* argv[] = {program.data(), pull.data(), model.data(), jobs.data(), nullptr};
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&files, 2, err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  pid_t pid = 0;
  ASSERT_EQ(posix_spawn(&pid, program.c_str(), &files, nullptr, argv, environ), 0);
  posix_spawn_file_actions_destroy(&files);
  child = pid;
  int status = 0;
  waitpid(pid, &status, 0);
  EXPECT_FALSE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  if (GetParam() != SIGKILL) {
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    EXPECT_THAT(test::read_file(err), HasSubstr("interrupted"));
  }
  fs::remove(err);
  for (const auto& entry : fs::recursive_directory_iterator(home_ + "/hub"))
    EXPECT_FALSE(entry.path().extension() == ".gguf") << entry.path();

  hub_.fault = nullptr;
  server_.forget_requests();
  const Outcome o = ridgeline({"pull", "hf:owner/model"});
  EXPECT_EQ(o.out, snapshot("m-Q4_0.gguf") + "\n") << o.err;
  EXPECT_TRUE(test::read_file(snapshot("m-Q4_0.gguf")) == hub_.content("m-Q4_0.gguf"));
  int resumed = 0;
  for (const HttpRequest& r : server_.requests())
    if (const auto range = r.range()) {
      EXPECT_GE(range->first, 64u << 20);
      ++resumed;
    }
  EXPECT_EQ(resumed, 1);
}

INSTANTIATE_TEST_SUITE_P(Signals, Interrupted, testing::Values(SIGINT, SIGTERM, SIGKILL));

}  // namespace
}  // namespace ridgeline
