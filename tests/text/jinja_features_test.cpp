// Templates of ours, one feature of the language each, against what Python's Jinja2 made
// of them (tools/make_template_oracle.py).

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "ridgeline/text/jinja/json.h"
#include "ridgeline/text/jinja/template.h"
#include "tests/text/template_clock.h"

namespace ridgeline {
namespace {

using nlohmann::ordered_json;

TEST(JinjaFeatures, AreThoseOfPythonsJinja2) {
  std::ifstream file(RIDGELINE_SOURCE_DIR "/tests/data/oracles/templates/features.json");
  const ordered_json data = ordered_json::parse(file);
  ASSERT_GT(data["cases"].size(), 800u);
  for (const ordered_json& c : data["cases"]) {
    ordered_json variables = data["variables"];
    if (c.contains("variables")) variables.update(c["variables"]);
    const auto value = jinja::parse_json(variables.dump(), "variables");
    ASSERT_TRUE(value) << value.error().message;
    const std::string source = c["template"];
    Result<std::string> text = fail("");
    if (const auto parsed = jinja::Template::parse(source, "test")) {
      text = parsed->render(*value, {}, testing::fixed_clock);
    } else {
      text = fail(parsed.error().message);
    }
    if (c["expected"].contains("error")) {
      EXPECT_FALSE(text) << source << "\ngives: " << *text;
    } else if (!text) {
      ADD_FAILURE() << source << "\n" << text.error().message;
    } else {
      EXPECT_EQ(*text, c["expected"]["text"].get<std::string>()) << source;
    }
  }
}

}  // namespace
}  // namespace ridgeline
