// Dependencies point down only: every include of every source, held against the ladder
// of docs/ARCHITECTURE.md.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace ridgeline {
namespace {

// Lowest first: a floor sees itself and what stands before it.
constexpr std::array<std::string_view, 11> kLadder = {"base",    "platform", "tensor", "quant",
                                                      "kernels", "ops",      "model",  "engine",
                                                      "tools",   "server",   "cli"};

// Leaves beside the ladder: the floors that each sees, and those that see it. `model`
// sees `text` only to fill a vocabulary from a model file.
struct Leaf {
  std::set<std::string_view> sees;
  std::set<std::string_view> seen_by;
};
const std::map<std::string_view, Leaf> kLeaves = {
    {"format", {{"base", "platform", "tensor", "quant"}, {"model", "tools"}}},
    {"kv", {{"base", "platform", "tensor"}, {"ops", "model", "engine"}}},
    {"text", {{"base"}, {"model", "engine", "tools", "server", "cli"}}},
};

// Stands on the engine, beside the tools.
const std::set<std::string_view> kServerSees = {"base", "platform", "text", "engine"};

int rank(std::string_view floor) {
  const auto found = std::find(kLadder.begin(), kLadder.end(), floor);
  return found == kLadder.end() ? -1 : static_cast<int>(found - kLadder.begin());
}

bool is_floor(std::string_view floor) { return rank(floor) >= 0 || kLeaves.contains(floor); }

bool may_include(std::string_view from, std::string_view to) {
  if (from == to) return true;
  if (from == "server" && !kServerSees.contains(to)) return false;
  if (const auto leaf = kLeaves.find(from); leaf != kLeaves.end()) {
    return leaf->second.sees.contains(to);
  }
  if (const auto leaf = kLeaves.find(to); leaf != kLeaves.end()) {
    return leaf->second.seen_by.contains(from);
  }
  return rank(to) < rank(from);
}

/// What an #include line names, quotes or angle brackets kept; empty for any other line.
std::string_view included(std::string_view line) {
  const auto skip_spaces = [&] {
    while (line.starts_with(' ') || line.starts_with('\t')) line.remove_prefix(1);
  };
  skip_spaces();
  if (!line.starts_with('#')) return {};
  line.remove_prefix(1);
  skip_spaces();
  if (!line.starts_with("include")) return {};
  line.remove_prefix(std::string_view("include").size());
  skip_spaces();
  if (!line.starts_with('"') && !line.starts_with('<')) return {};
  const std::size_t end = line.find_first_of("\">", 1);
  return end == std::string_view::npos ? line : line.substr(0, end + 1);
}

/// The floor of "ridgeline/<floor>/..."; empty for another path.
std::string_view floor_of(std::string_view path) {
  constexpr std::string_view kRoot = "ridgeline/";
  if (!path.starts_with(kRoot)) return {};
  path.remove_prefix(kRoot.size());
  const std::size_t end = path.find('/');
  return end == std::string_view::npos ? std::string_view{} : path.substr(0, end);
}

/// What is wrong with the includes of one file, whose path is "ridgeline/<floor>/...":
/// one sentence each.
std::vector<std::string> violations(const std::string& path, std::istream& source) {
  std::vector<std::string> found;
  const std::string_view from = floor_of(path);
  if (!is_floor(from)) {
    found.push_back(path + ": lies on no floor of the ladder");
    return found;
  }
  int number = 0;
  for (std::string line; std::getline(source, line);) {
    ++number;
    const std::string_view name = included(line);
    if (name.size() < 3) continue;
    const std::string header(name.substr(1, name.size() - 2));
    const std::string where = path + ":" + std::to_string(number) + ": ";
    const std::string_view to = floor_of(header);
    if (to.empty()) {
      if (name.front() == '"') found.push_back(where + header + " is not named from the root");
    } else if (!is_floor(to)) {
      found.push_back(where + header + " lies on no floor of the ladder");
    } else if (!may_include(from, to)) {
      found.push_back(where + std::string(from) + " may not see " + std::string(to) + " (" +
                      header + ")");
    }
  }
  return found;
}

std::vector<std::string> violations_of(const std::string& path, const std::string& source) {
  std::istringstream stream(source);
  return violations(path, stream);
}

TEST(Ladder, EveryIncludePointsDown) {
  const std::filesystem::path root = RIDGELINE_SOURCE_DIR;
  int files = 0;
  std::set<std::string> floors;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root / "ridgeline")) {
    const auto extension = entry.path().extension();
    if (extension != ".h" && extension != ".cpp" && extension != ".cu") continue;
    const auto path = std::filesystem::relative(entry.path(), root);
    std::ifstream source(entry.path());
    ASSERT_TRUE(source) << path;
    for (const std::string& violation : violations(path.string(), source)) {
      ADD_FAILURE() << violation;
    }
    ++files;
    floors.insert(std::next(path.begin())->string());
  }
  // The walk found the project, not an empty folder.
  EXPECT_GE(files, 30);
  EXPECT_THAT(floors, ::testing::IsSupersetOf({"base", "platform", "tensor"}));
}

TEST(Ladder, AnUpwardIncludeIsNamedWithFileAndLine) {
  EXPECT_THAT(violations_of("ridgeline/model/llama.cpp",
                            "#include <vector>\n#include \"ridgeline/ops/backend.h\"\n"
                            "  #  include \"ridgeline/engine/engine.h\" // why not\n"),
              ::testing::ElementsAre("ridgeline/model/llama.cpp:3: model may not see engine "
                                     "(ridgeline/engine/engine.h)"));
  EXPECT_THAT(violations_of("ridgeline/base/a.h", "#include <ridgeline/platform/b.h>\n"),
              ::testing::ElementsAre(::testing::StartsWith("ridgeline/base/a.h:1: base may not")));
}

TEST(Ladder, AFloorOrAPathOutsideOfItIsNamed) {
  EXPECT_THAT(violations_of("ridgeline/attic/a.h", ""),
              ::testing::ElementsAre(::testing::HasSubstr("lies on no floor")));
  EXPECT_THAT(violations_of("ridgeline/cli/a.cpp", "#include \"ridgeline/attic/a.h\"\n"),
              ::testing::ElementsAre(::testing::HasSubstr("ridgeline/attic/a.h lies on no floor")));
  EXPECT_THAT(violations_of("ridgeline/cli/a.cpp", "#include \"../engine/engine.h\"\n"),
              ::testing::ElementsAre(::testing::HasSubstr("not named from the root")));
  EXPECT_THAT(violations_of("ridgeline/cli/a.cpp",
                            "#include <vector>\n// #include \"ridgeline/attic/a.h\"\n"),
              ::testing::IsEmpty());
}

TEST(Ladder, RulesOfTheDesign) {
  EXPECT_FALSE(may_include("model", "engine"));
  EXPECT_FALSE(may_include("server", "model"));
  EXPECT_FALSE(may_include("server", "tools"));
  for (const std::string_view seen : {"base", "platform", "text", "engine"}) {
    EXPECT_TRUE(may_include("server", seen)) << seen;
  }
  EXPECT_TRUE(may_include("cli", "server"));
  EXPECT_TRUE(may_include("cli", "tools"));
  EXPECT_FALSE(may_include("tools", "server"));

  for (const std::string_view user : {"model", "tools"}) EXPECT_TRUE(may_include(user, "format"));
  for (const std::string_view other : {"engine", "cli", "kv", "text", "quant", "ops"}) {
    EXPECT_FALSE(may_include(other, "format")) << other;
  }
  for (const std::string_view user : {"ops", "model", "engine"}) {
    EXPECT_TRUE(may_include(user, "kv"));
  }
  EXPECT_FALSE(may_include("kernels", "kv"));
  for (const std::string_view user : {"model", "engine", "tools", "server", "cli"}) {
    EXPECT_TRUE(may_include(user, "text"));
  }
  EXPECT_FALSE(may_include("ops", "text"));
  EXPECT_FALSE(may_include("text", "platform"));
  EXPECT_FALSE(may_include("format", "kernels"));
}

}  // namespace
}  // namespace ridgeline
