// No code of one ISA may be merged into another by the linker: the object files below
// kernels/<isa>/ define nothing but names of ridgeline::<isa>, and no weak ones.

#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "ridgeline/kernels/kernel_table.h"
#include "tests/kernels/shell.h"

namespace ridgeline {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // its own weak symbols are in every file
#else
constexpr bool kSanitized = false;
#endif

/// The defined symbols of a file that are visible to the linker: "kind name".
std::vector<std::string> exported(const std::filesystem::path& object) {
  const ShellResult nm =
      shell("nm --demangle --extern-only --defined-only '" + object.string() + "'");
  EXPECT_EQ(nm.status, 0) << nm.output;
  std::vector<std::string> symbols;
  std::istringstream lines(nm.output);
  for (std::string line; std::getline(lines, line);)
    if (const std::size_t kind = line.find(' '); kind != std::string::npos)
      symbols.push_back(line.substr(kind + 1));
  return symbols;
}

TEST(IsaSymbols, EachIsaDefinesOnlyItsOwnAndNoneWeak) {
  if (kSanitized) GTEST_SKIP() << "sanitizers add weak symbols";
  if (shell("nm --version").status != 0) GTEST_SKIP() << "nm is not installed";
  const std::filesystem::path objects =
      std::filesystem::path(RIDGELINE_BINARY_DIR) / "lib/kernels/CMakeFiles/ridgeline_kernels.dir";
  if (!std::filesystem::exists(objects)) GTEST_SKIP() << "no object files in " << objects;
  for (const std::string_view isa : built_isas()) {
    int files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(objects / isa)) {
      if (entry.path().extension() != ".o") continue;
      ++files;
      const std::vector<std::string> symbols = exported(entry.path());
      EXPECT_FALSE(symbols.empty()) << entry.path();
      for (const std::string& symbol : symbols) {
        EXPECT_TRUE(symbol.substr(2).starts_with("ridgeline::" + std::string(isa) + "::"))
            << entry.path() << " defines " << symbol;
        EXPECT_EQ(std::string("WwVvu").find(symbol[0]), std::string::npos)
            << entry.path() << " has the weak symbol " << symbol;
      }
    }
    EXPECT_GT(files, 0) << isa;
  }
}

}  // namespace
}  // namespace ridgeline
