// The kernel tests again as two older CPUs, under qemu-user: the right tables are
// offered and no instruction is illegal.

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "ridgeline/kernels/kernel_table.h"
#include "tests/kernels/shell.h"

namespace ridgeline {
namespace {

/// All but the tests that take minutes when emulated.
constexpr const char* kFilter =
    "Isa/*-Isa/Attention.MatchesDoublePrecision*:Isa/Attention.LaterPositions*:"
    "Isa/Attention.AnySplit*";

std::string this_program() {
  std::array<char, 4096> path{};
  const ssize_t n = readlink("/proc/self/exe", path.data(), path.size() - 1);
  return n > 0 ? std::string(path.data(), static_cast<std::size_t>(n)) : std::string();
}

void run_as(const std::string& cpu, const std::vector<std::string_view>& expected_isas) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "qemu-user cannot run sanitized programs";
#endif
  if (shell("qemu-x86_64 --version").status != 0) GTEST_SKIP() << "qemu-x86_64 is not installed";
  const ShellResult run = shell("qemu-x86_64 -cpu " + cpu + " '" + this_program() +
                                "' --gtest_filter='" + kFilter + "'");
  ASSERT_EQ(run.status, 0) << run.output;
  for (const std::string_view isa : built_isas()) {
    const bool expected = std::ranges::find(expected_isas, isa) != expected_isas.end();
    const std::string test = "Isa/MatMul.AgreesWithTheExactProduct/" + std::string(isa) + " (";
    EXPECT_EQ(run.output.find("[       OK ] " + test) != std::string::npos, expected) << isa;
    EXPECT_EQ(run.output.find("[  SKIPPED ] " + test) != std::string::npos, !expected) << isa;
  }
}

TEST(Emulated, NehalemRunsGenericOnly) { run_as("Nehalem", {"generic"}); }

TEST(Emulated, HaswellRunsAvx2) { run_as("Haswell", {"avx2", "generic"}); }

}  // namespace
}  // namespace ridgeline
