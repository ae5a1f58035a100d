#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "ridgeline/text/grammar/grammar.h"

namespace ridgeline {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

std::shared_ptr<const GrammarVocabulary> bytes_vocabulary() {
  std::vector<std::string> pieces;
  for (int i = 0; i < 256; ++i) pieces.emplace_back(1, static_cast<char>(i));
  pieces.emplace_back();
  return std::make_shared<const GrammarVocabulary>(pieces, std::vector<TokenId>{},
                                                   std::vector<TokenId>{256});
}

bool accepts(const Grammar::Ptr& grammar, const std::string& text) {
  static const auto vocabulary = bytes_vocabulary();
  GrammarMatcher matcher(grammar, vocabulary);
  return matcher.accept_text(text) && matcher.may_end();
}

// The keyword of a refusal, as far as its sentence names one.
std::string reason(const std::string& message) {
  return message.substr(0, std::min(message.find(" at "), message.find(" (at")));
}

struct Tally {
  int schemas = 0, right = 0, refused = 0, incomplete = 0, unsound = 0;
  std::map<std::string, int> refusals;
  std::vector<double> compile_ms;
};

bool is_verbose() { return std::getenv("RIDGELINE_GRAMMAR_VERBOSE") != nullptr; }

void check(const json& schema, const json& tests, const std::string& name, Tally& tally) {
  ++tally.schemas;
  const auto begin = std::chrono::steady_clock::now();
  const auto grammar = Grammar::from_json_schema(schema.dump());
  tally.compile_ms.push_back(
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
  if (is_verbose() && tally.compile_ms.back() > 50) {
    std::printf("%s: compiled in %.0f ms\n", name.c_str(), tally.compile_ms.back());
  }
  if (!grammar) {
    // A schema that allows nothing is refused, and rightly so.
    if (grammar.error().message == "the schema allows no value" &&
        std::none_of(tests.begin(), tests.end(),
                     [](const json& test) { return test.at("valid").get<bool>(); })) {
      ++tally.right;
      return;
    }
    ++tally.refused;
    ++tally.refusals[reason(grammar.error().message)];
    if (is_verbose()) std::printf("%s: %s\n", name.c_str(), grammar.error().message.c_str());
    return;
  }
  bool complete = true, sound = true;
  for (const json& test : tests) {
    const bool valid = test.at("valid").get<bool>();
    const std::string text = test.at("data").dump();
    const bool accepted = accepts(*grammar, text);
    if (accepted == valid) continue;
    (valid ? complete : sound) = false;
    if (is_verbose() || !valid) {
      std::printf("%s: %s %s\n", name.c_str(), valid ? "rejects valid" : "ACCEPTS INVALID",
                  text.substr(0, 300).c_str());
    }
  }
  if (!sound) {
    ++tally.unsound;
  } else if (!complete) {
    ++tally.incomplete;
  } else {
    ++tally.right;
  }
}

void report(const char* name, Tally& tally) {
  std::sort(tally.compile_ms.begin(), tally.compile_ms.end());
  const auto at = [&](double q) {
    return tally
        .compile_ms[static_cast<std::size_t>(q * static_cast<double>(tally.compile_ms.size() - 1))];
  };
  std::printf(
      "%s: %d schemas, %d right, %d refused, %d reject a valid instance, %d accept an "
      "invalid one; compiling %.2f ms in the median, P99 %.1f, at most %.1f\n",
      name, tally.schemas, tally.right, tally.refused, tally.incomplete, tally.unsound, at(0.5),
      at(0.99), at(1));
  for (const auto& [why, count] : tally.refusals) std::printf("  %4d %s\n", count, why.c_str());
}

std::vector<fs::path> files(const fs::path& folder) {
  std::vector<fs::path> found;
  if (!fs::is_directory(folder)) return found;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ".json") found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

json read(const fs::path& path) {
  std::ifstream in(path);
  return json::parse(in);
}

// All of it takes a few seconds, with instrumentation a minute.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t kStride = 12;
#else
constexpr std::size_t kStride = 1;
#endif

TEST(GrammarMaskbench, EveryInstanceIsToldApart) {
  const auto found = files(fs::path(RIDGELINE_SHARED_DATA) / "json-schema/maskbench");
  if (found.empty()) GTEST_SKIP() << "needs ../shared/data/json-schema/maskbench";
  Tally tally;
  const char* only = std::getenv("RIDGELINE_GRAMMAR_ONLY");
  for (std::size_t i = 0; i < found.size(); i += kStride) {
    const fs::path& path = found[i];
    if (only != nullptr && path.filename().string().find(only) == std::string::npos) continue;
    const json file = read(path);
    check(file.at("schema"), file.at("tests"), path.filename().string(), tally);
  }
  report("maskbench", tally);
  EXPECT_EQ(tally.unsound, 0);
  EXPECT_GE(tally.right, tally.schemas * 9 / 10);
}

class SchemaSuite : public testing::TestWithParam<const char*> {};

TEST_P(SchemaSuite, AcceptsNoInvalidInstance) {
  const auto found = files(fs::path(RIDGELINE_SHARED_DATA) / "json-schema" / GetParam());
  if (found.empty()) GTEST_SKIP() << "needs ../shared/data/json-schema/" << GetParam();
  Tally tally;
  for (const fs::path& path : found) {
    // What strings contain is an annotation since 2019-09, and is one here.
    if (path.filename() == "content.json") continue;
    for (const json& group : read(path)) {
      json schema = group.at("schema");
      if (schema.is_object() && !schema.contains("$schema") &&
          std::string(GetParam()) == "draft7") {
        schema["$schema"] = "http://json-schema.org/draft-07/schema#";
      }
      check(schema, group.at("tests"),
            path.filename().string() + ": " + group.at("description").get<std::string>(), tally);
    }
  }
  report(GetParam(), tally);
  EXPECT_EQ(tally.unsound, 0);
}

INSTANTIATE_TEST_SUITE_P(Drafts, SchemaSuite, testing::Values("draft2020-12", "draft7"));

}  // namespace
}  // namespace ridgeline
