// Real models' templates over conversations of every kind, byte for byte as transformers
// renders them (tools/make_template_oracle.py).

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "ridgeline/text/chat_template.h"
#include "tests/text/template_clock.h"

namespace ridgeline {
namespace {

using nlohmann::ordered_json;

std::string fnv1a(const std::string& text) {
  std::uint64_t hash = 0xCBF29CE484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  char hex[17];
  std::snprintf(hex, sizeof hex, "%016llx", static_cast<unsigned long long>(hash));
  return hex;
}

TEST(TemplateOracle, EveryTemplateAndConversation) {
  const std::filesystem::path folder =
      std::filesystem::path(RIDGELINE_SHARED_DATA) / "chat-templates";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " is absent";
  std::ifstream oracle(RIDGELINE_SOURCE_DIR "/tests/data/oracles/templates/conversations.json");
  const ordered_json data = ordered_json::parse(oracle);
  ASSERT_EQ(data["outputs"].size(), 31u);
  for (const auto& [name, outputs] : data["outputs"].items()) {
    std::ifstream file(folder / name, std::ios::binary);
    const auto parsed =
        ChatTemplate::parse({std::istreambuf_iterator<char>(file), {}}, "<s>", "</s>", name);
    ASSERT_TRUE(parsed) << parsed.error().message;
    ASSERT_EQ(outputs.size(), data["conversations"].size());
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const ordered_json& c = data["conversations"][i];
      ChatInput input;
      input.messages = c["messages"].dump();
      if (!c["tools"].is_null()) input.tools = c["tools"].dump();
      input.add_generation_prompt = c["add_generation_prompt"];
      for (const auto& [variable, value] : c["variables"].items())
        input.variables.emplace_back(variable, value.dump());
      const auto text = parsed->render(input, {}, testing::fixed_clock);
      const std::string where = name + ": " + c["name"].get<std::string>();
      if (outputs[i].is_string()) {
        if (text) {
          EXPECT_EQ(fnv1a(*text), outputs[i].get<std::string>()) << where << "\n" << *text;
        } else {
          ADD_FAILURE() << where << ": " << text.error().message;
        }
      } else if (text) {
        ADD_FAILURE() << where << ": expected an error, got\n" << *text;
      } else if (outputs[i]["error"].is_string()) {
        EXPECT_TRUE(text.error().message.ends_with(outputs[i]["error"].get<std::string>()))
            << where << ": " << text.error().message << "\nexpected " << outputs[i]["error"];
      }
    }
  }
}

}  // namespace
}  // namespace ridgeline
