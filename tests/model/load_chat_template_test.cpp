// Where a model keeps its chat template: tests/cli/template_test.cpp has GGUF's ways.

#include "ridgeline/model/load_chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/random_model.h"

namespace ridgeline {
namespace {

void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

TEST(LoadChatTemplate, OfAFolder) {
  namespace fs = std::filesystem;
  const fs::path folder = test::temporary_path("folder");
  fs::create_directories(folder / "additional_chat_templates");
  const auto source = [&](const char* name) {
    const auto found =
        read_chat_template(Checkpoint(Checkpoint::Contents{}), folder.string(), name);
    return !found ? "error: " + found.error().message : found->value_or("none");
  };
  EXPECT_EQ(source(""), "none");
  write_file((folder / "tokenizer_config.json"), R"({"chat_template": "one"})");
  EXPECT_EQ(source(""), "one");
  EXPECT_EQ(source("tool_use"), "none");
  write_file((folder / "tokenizer_config.json").string(),
             R"({"chat_template": [{"name": "default", "template": "D"},
                                         {"name": "tool_use", "template": "T"}]})");
  EXPECT_EQ(source(""), "D");
  EXPECT_EQ(source("tool_use"), "T");
  write_file((folder / "chat_template.jinja"), "file");
  write_file((folder / "additional_chat_templates/tool_use.jinja"), "more");
  EXPECT_EQ(source(""), "file");
  EXPECT_EQ(source("tool_use"), "more");
  EXPECT_EQ(source("rag"), "none");
  write_file((folder / "tokenizer_config.json"), R"({"chat_template": 3})");
  EXPECT_THAT(source("rag"), testing::HasSubstr("chat_template: expected a text or a list"));
  fs::remove_all(folder);
}

}  // namespace
}  // namespace ridgeline
