// ridgeline template: messages in, prompt out.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ridgeline/format/gguf_writer.h"
#include "tests/cli/program.h"

namespace ridgeline {
namespace {

using test::expect_error;
using test::expect_usage_error;
using test::Outcome;
using test::ridgeline;

constexpr const char* kMessages = R"([{"role": "user", "content": "Hi 🐔"}])";

/// A file written for a test, gone with it.
class TemporaryFile {
 public:
  TemporaryFile(const std::string& name, const std::string& text)
      : path_(test::temporary_path(name)) {
    test::write_file(path_, text);
  }
  ~TemporaryFile() { std::remove(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

void expect_prompt(const Outcome& o, const std::string& prompt) {
  EXPECT_EQ(o.exit_code, 0) << o.err;
  EXPECT_EQ(o.out, prompt);
  EXPECT_EQ(o.err, "");
}

TEST(CliTemplate, BuiltinsAndFiles) {
  expect_prompt(ridgeline({"template", "--chat-template", "chatml"}, kMessages),
                "<|im_start|>user\nHi 🐔<|im_end|>\n<|im_start|>assistant\n");
  expect_prompt(
      ridgeline({"template", "--template-file", "chatml", "--no-generation-prompt"}, kMessages),
      "<|im_start|>user\nHi 🐔<|im_end|>\n");
  const TemporaryFile jinja("t.jinja",
                            "{{ bos_token }}{{ x }}{{ y }}{{ tools }}{{ messages[0].role }}"
                            "{{ eos_token }}{{ add_generation_prompt }}");
  const TemporaryFile tools("tools.json", R"([{"z": 1, "a": 2.0}])");
  const TemporaryFile messages("messages.json", kMessages);
  expect_prompt(ridgeline({"template", "--template-file", jinja.path(), "--bos", "<b>", "--eos",
                           "<e>", "--set", "x=[1, null]", "--set", "y=\"s\"", "--tools",
                           tools.path(), messages.path()}),
                "<b>[1, None]s[{'z': 1, 'a': 2.0}]user<e>True");
  expect_prompt(
      ridgeline({"template", "--template-file", jinja.path()},
                R"({"messages": [{"role": "r"}], "add_generation_prompt": false, "x": 1e3})"),
      "1000.0NonerFalse");
}

TEST(CliTemplate, OfAModel) {
  const auto write = [](const std::string& path, bool with_template) {
    const std::vector<std::string_view> tokens = {"<unk>", "<s>", "</s>", "a"};
    GgufMetadata metadata;
    metadata.emplace_back("general.architecture", GgufValue::of(std::string_view("llama")));
    metadata.emplace_back("tokenizer.ggml.model", GgufValue::of(std::string_view("llama")));
    metadata.emplace_back("tokenizer.ggml.tokens", GgufValue::of(tokens));
    metadata.emplace_back("tokenizer.ggml.scores", GgufValue::of(std::vector<float>(4, 0.0F)));
    metadata.emplace_back("tokenizer.ggml.token_type",
                          GgufValue::of(std::vector<std::int32_t>{2, 3, 3, 1}));
    if (with_template) {
      metadata.emplace_back("tokenizer.chat_template",
                            GgufValue::of(std::string_view("{{ bos_token }}plain{{ eos_token }}")));
      metadata.emplace_back("tokenizer.chat_template.tool_use",
                            GgufValue::of(std::string_view("tools: {{ tools|length }}")));
    }
    auto writer = GgufWriter::create(path, metadata, {});
    ASSERT_TRUE(writer) << writer.error().message;
    ASSERT_TRUE(writer->finish());
  };
  const std::string with = test::temporary_path("with.gguf"),
                    without = test::temporary_path("without.gguf");
  write(with, true);
  write(without, false);
  expect_prompt(ridgeline({"template", "-m", with}, kMessages), "<s>plain</s>");
  expect_prompt(ridgeline({"template", "-m", with, "--bos", "B", "--eos", "E"}, kMessages),
                "BplainE");
  expect_prompt(ridgeline({"template", "-m", with}, R"({"messages": [], "tools": [1, 2]})"),
                "tools: 2");
  expect_error(ridgeline({"template", "-m", without}, kMessages),
               without + ": the model has no chat template; give one with --chat-template");
  expect_prompt(ridgeline({"template", "-m", without, "--chat-template", "llama2"}, kMessages),
                "<s>[INST] Hi 🐔 [/INST]");
  std::remove(with.c_str());
  std::remove(without.c_str());
}

TEST(CliTemplate, Errors) {
  expect_error(ridgeline({"template"}, kMessages), "expected a model (-m) or a template");
  expect_error(ridgeline({"template", "--template-file", "/no/such"}, kMessages),
               "/no/such: no such file, and no built-in chat template; those are alpaca, chatml");
  expect_error(ridgeline({"template", "--template-file", "chatml"}, "3"),
               "expected an array of messages");
  expect_error(ridgeline({"template", "--template-file", "chatml"}, "{"), "expected JSON");
  expect_error(ridgeline({"template", "--template-file", "chatml", "--set", "x"}, kMessages),
               "--set x: expected NAME=JSON");
  expect_error(ridgeline({"template", "--template-file", "chatml", "--set", "x=y"}, kMessages),
               "the variable x: expected JSON");
  expect_error(ridgeline({"template", "--template-file", "chatml"}, R"([{"role": "user"}])"),
               "'dict object' has no attribute 'content'");
  const TemporaryFile jinja("bad.jinja", "a\n{% for %}");
  expect_error(ridgeline({"template", "--template-file", jinja.path()}, kMessages),
               jinja.path() + ", line 2: expected an expression");
  expect_usage_error(ridgeline({"template", "--zork"}), "--zork");
}

}  // namespace
}  // namespace ridgeline
