#pragma once

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <string>

namespace ridgeline {

struct ShellResult {
  int status = -1;  ///< exit status; -1 if the shell did not end by itself
  std::string output;
};

/// Runs a command; its stderr comes with its stdout.
inline ShellResult shell(const std::string& command) {
  ShellResult result;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return result;
  std::array<char, 4096> chunk;
  while (const std::size_t n = fread(chunk.data(), 1, chunk.size(), pipe))
    result.output.append(chunk.data(), n);
  const int status = pclose(pipe);
  if (WIFEXITED(status)) result.status = WEXITSTATUS(status);
  return result;
}

}  // namespace ridgeline
