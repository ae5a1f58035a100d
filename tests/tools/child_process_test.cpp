#include "ridgeline/tools/child_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

namespace ridgeline {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Result<ChildResult> shell(const std::string& script, double seconds_max = 30) {
  return run_child({"sh", "-c", script}, seconds_max);
}

TEST(ChildProcess, BothStreamsAndTheExitCodeComeBack) {
  const auto result = shell("echo one; echo two >&2; echo; read x; echo \"<$x>\"; exit 3");
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->exit_code, 3);
  EXPECT_EQ(result->out, "one\n\n<>\n");  // there is nothing to read
  EXPECT_EQ(result->err, "two\n");
  EXPECT_EQ(result->last_words(), "two");
  EXPECT_TRUE(result->first_output_seconds);
  EXPECT_GE(result->seconds, *result->first_output_seconds);
  EXPECT_GT(result->peak_resident_bytes, 100u << 10);
}

TEST(ChildProcess, MoreThanAPipeHolds) {
  const auto result = shell("head -c 3000000 /dev/zero | tr '\\0' x; head -c 200000 /dev/zero >&2");
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->out.size(), 3000000u);
  EXPECT_EQ(result->err.size(), 200000u);
}

TEST(ChildProcess, ArgumentsAreNobodysShellScript) {
  const auto result = run_child({"printf", "%s|", "$HOME; `id` *", ""}, 30);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->out, "$HOME; `id` *||");
}

TEST(ChildProcess, ItRunsInItsFolder) {
  const auto result = run_child({"pwd"}, 30, "/");
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->out, "/\n");
}

TEST(ChildProcess, AScratchFolderGoesWithWhatIsInIt) {
  std::string path;
  {
    const ScratchFolder folder;
    path = folder.path();
    ASSERT_TRUE(run_child({"touch", "llama.log"}, 30, path));
    EXPECT_EQ(access((path + "/llama.log").c_str(), F_OK), 0);
  }
  EXPECT_NE(access(path.c_str(), F_OK), 0);
}

TEST(ChildProcess, SilenceHasNoFirstOutput) {
  const auto result = shell("printf ' \\n'");
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_FALSE(result->first_output_seconds);
  EXPECT_EQ(result->last_words(), "it printed nothing");
}

TEST(ChildProcess, SignalsAndMissingProgramsAreTold) {
  const auto killed = shell("kill -9 $$");
  ASSERT_TRUE(killed);
  EXPECT_EQ(killed->exit_code, 128 + SIGKILL);
  const auto missing = run_child({"/nonexistent/llama-bench"}, 30);
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message, HasSubstr("/nonexistent/llama-bench"));
}

TEST(ChildProcess, TimeLimitsAndSignalsKillTheWholeGroup) {
  const auto begin = std::chrono::steady_clock::now();
  const auto slow = shell("sleep 60 & sleep 60; wait", 0.2);
  ASSERT_FALSE(slow);
  EXPECT_THAT(slow.error().message, HasSubstr("more than 0 s"));
  sigset_t term, before;  // held, as in run_child: the other thread must not take it
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &term, &before);
  std::thread interrupt([self = getpid()] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    kill(self, SIGTERM);
  });
  const auto interrupted = shell("sleep 60 & sleep 60; wait");
  interrupt.join();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ASSERT_FALSE(interrupted);
  EXPECT_EQ(interrupted.error().message, kInterrupted);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
}

TEST(ChildProcess, WordsOfACommandLine) {
  EXPECT_THAT(*split_words("  a b\t'c  d' \"e 'f'\" g\\ h '' "),
              ElementsAre("a", "b", "c  d", "e 'f'", "g h", ""));
  EXPECT_THAT(*split_words(""), testing::IsEmpty());
  EXPECT_FALSE(split_words("a 'b"));
  EXPECT_TRUE(can_run("sh"));
  EXPECT_FALSE(can_run("no-such-program-here"));
  EXPECT_FALSE(can_run("/nonexistent/sh"));
}

}  // namespace
}  // namespace ridgeline
