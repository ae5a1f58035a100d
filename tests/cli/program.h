#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/random_model.h"

// The program as a user runs it.

namespace ridgeline::test {

struct Outcome {
  int exit_code = -1;  ///< 128 + signal if killed
  std::string out, err;
};

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

/// Runs build/.../ridgeline without a shell.
inline Outcome ridgeline(std::vector<std::string> arguments, const std::string& input = "") {
  const std::string in = test::temporary_path("in"), out = test::temporary_path("out"),
                    err = test::temporary_path("err");
  write_file(in, input);
  arguments.insert(arguments.begin(), RIDGELINE_BINARY_DIR "/ridgeline");
  std::vector<char*> argv;
  for (std::string& a : arguments) argv.push_back(a.data());
  argv.push_back(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    dup2(open(in.c_str(), O_RDONLY | O_CLOEXEC), 0);
    dup2(open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), 1);
    dup2(open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), 2);
    execv(argv[0], argv.data());
    _exit(127);
  }
  int status = 0;
  waitpid(child, &status, 0);
  Outcome o{WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read_file(out),
            read_file(err)};
  for (const std::string& path : {in, out, err}) std::remove(path.c_str());
  return o;
}

/// One sentence on stderr, exit code 1, nothing on stdout.
inline void expect_error(const Outcome& o, const std::string& part) {
  EXPECT_EQ(o.exit_code, 1) << o.err;
  EXPECT_THAT(o.err, testing::HasSubstr(part));
  EXPECT_EQ(std::ranges::count(o.err, '\n'), 1) << o.err;
  EXPECT_EQ(o.out, "");
}

/// Arguments that cannot be parsed: exit code 1, the sentence, and where to find help.
inline void expect_usage_error(const Outcome& o, const std::string& part) {
  EXPECT_EQ(o.exit_code, 1) << o.err;
  EXPECT_THAT(o.err, testing::HasSubstr(part));
  EXPECT_EQ(std::ranges::count(o.err, '\n'), 2) << o.err;
  EXPECT_EQ(o.out, "");
}

}  // namespace ridgeline::test
