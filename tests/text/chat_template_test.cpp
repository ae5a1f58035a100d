#include "ridgeline/text/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

namespace ridgeline {
namespace {

using testing::HasSubstr;

ChatTemplate parse(const std::string& source) {
  auto parsed = ChatTemplate::parse(source, "<s>", "</s>", "test");
  EXPECT_TRUE(parsed) << parsed.error().message;
  return *std::move(parsed);
}

std::string render(const ChatTemplate& chat, const ChatInput& input) {
  const auto text = chat.render(input);
  return text ? *text : "error: " + text.error().message;
}

ChatInput input_of(std::string messages) {
  ChatInput input;
  input.messages = std::move(messages);
  return input;
}

constexpr const char* kTurns =
    R"([{"role": "system", "content": "S"}, {"role": "user", "content": "A"},
        {"role": "assistant", "content": "B"}, {"role": "user", "content": "C"}])";

TEST(ChatTemplate, BuiltinsAreWhatTheirModelsRead) {
  const std::pair<const char*, const char*> kExpected[] = {
      {"chatml",
       "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nA<|im_end|>\n"
       "<|im_start|>assistant\nB<|im_end|>\n<|im_start|>user\nC<|im_end|>\n"
       "<|im_start|>assistant\n"},
      {"llama2", "<s>[INST] <<SYS>>\nS\n<</SYS>>\n\nA [/INST] B </s><s>[INST] C [/INST]"},
      {"llama3",
       "<s><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|>"
       "<|start_header_id|>user<|end_header_id|>\n\nA<|eot_id|>"
       "<|start_header_id|>assistant<|end_header_id|>\n\nB<|eot_id|>"
       "<|start_header_id|>user<|end_header_id|>\n\nC<|eot_id|>"
       "<|start_header_id|>assistant<|end_header_id|>\n\n"},
      {"gemma",
       "<s><start_of_turn>user\nS\n\nA<end_of_turn>\n<start_of_turn>model\nB"
       "<end_of_turn>\n<start_of_turn>user\nC<end_of_turn>\n<start_of_turn>model\n"},
      {"mistral", "<s>[INST] S\n\nA [/INST] B</s>[INST] C [/INST]"},
      {"phi3",
       "<|system|>\nS<|end|>\n<|user|>\nA<|end|>\n<|assistant|>\nB<|end|>\n"
       "<|user|>\nC<|end|>\n<|assistant|>\n"},
      {"zephyr",
       "<|system|>\nS</s>\n<|user|>\nA</s>\n<|assistant|>\nB</s>\n<|user|>\nC</s>\n"
       "<|assistant|>\n"},
      {"vicuna", "<s>S\n\nUSER: A\nASSISTANT: B</s>\nUSER: C\nASSISTANT:"},
      {"alpaca",
       "<s>S\n\n### Instruction:\nA\n\n### Response:\nB</s>\n\n"
       "### Instruction:\nC\n\n### Response:\n"},
  };
  EXPECT_EQ(builtin_chat_template_names().size(), std::size(kExpected));
  for (const auto& [name, expected] : kExpected) {
    ASSERT_NE(builtin_chat_template(name), nullptr) << name;
    const ChatTemplate chat = parse(builtin_chat_template(name));
    EXPECT_EQ(render(chat, input_of(kTurns)), expected) << name;
    EXPECT_TRUE(chat.supports_system_role()) << name;
    EXPECT_FALSE(chat.supports_tools()) << name;
  }
  EXPECT_EQ(builtin_chat_template("zork"), nullptr);
}

TEST(ChatTemplate, SaysWhatIsWrongWithItsInput) {
  const ChatTemplate chat = parse("{{ messages }}{{ x }}");
  EXPECT_THAT(render(chat, input_of("{}")), HasSubstr("expected an array of objects"));
  EXPECT_THAT(render(chat, input_of("[1]")), HasSubstr("messages: number 1 is no object"));
  EXPECT_THAT(render(chat, input_of("[")), HasSubstr("messages: expected JSON"));
  ChatInput input = input_of("[]");
  input.tools = "3";
  EXPECT_THAT(render(chat, input), HasSubstr("tools: expected an array"));
  input.tools.reset();
  input.variables = {{"x", "{"}};
  EXPECT_THAT(render(chat, input), HasSubstr("the variable x: expected JSON"));
  EXPECT_THAT(
      no_chat_template("m.gguf").message,
      testing::AllOf(HasSubstr("m.gguf"), HasSubstr("--chat-template"), HasSubstr("chatml")));
}

TEST(ChatTemplate, GivesReasoningTheNamesThatTemplatesRead) {
  const ChatTemplate chat = parse("{{ messages }}");
  EXPECT_EQ(render(chat, input_of(R"([{"role": "assistant", "reasoning": "R"}])")),
            "[{'thinking': 'R', 'role': 'assistant', 'reasoning': 'R', 'reasoning_content': 'R'}]");
}

TEST(ChatTemplate, KnowsVariablesAndTheirDefaults) {
  const ChatTemplate chat = parse(
      "{{ bos_token }}{{ eos_token }}{{ tools is none }}{{ documents is none }}"
      "{{ add_generation_prompt }}{{ enable_thinking is defined }}"
      "{% set mine = 1 %}{{ mine }}");
  EXPECT_EQ(render(chat, input_of("[]")), "<s></s>TrueTrueTrueFalse1");
  EXPECT_TRUE(chat.uses("enable_thinking"));
  EXPECT_FALSE(chat.uses("mine"));
  EXPECT_FALSE(chat.uses("messages"));
  ChatInput input = input_of("[]");
  input.variables = {{"bos_token", "\"!\""}, {"enable_thinking", "false"}};
  EXPECT_EQ(render(chat, input), "!</s>TrueTrueTrueTrue1");
}

TEST(ChatTemplate, KnowsAboutThinking) {
  const ChatTemplate chat = parse(
      "{% if add_generation_prompt %}<think>{% if enable_thinking is false %}</think>{% endif %}"
      "{% endif %}");
  ASSERT_TRUE(chat.thinking_tags());
  EXPECT_EQ(chat.thinking_tags()->close, "</think>");
  EXPECT_TRUE(chat.ends_in_thinking("a<think>\n"));
  EXPECT_TRUE(chat.ends_in_thinking("<think>a</think>b<think>"));
  EXPECT_FALSE(chat.ends_in_thinking("<think>a</think>"));
  EXPECT_FALSE(chat.ends_in_thinking("a"));
  EXPECT_FALSE(parse("x").thinking_tags());
}

TEST(ChatTemplate, TellsSupportOfRealTemplates) {
  const std::filesystem::path folder =
      std::filesystem::path(RIDGELINE_SHARED_DATA) / "chat-templates";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " is absent";
  const auto open = [&](const char* name) {
    std::ifstream file(folder / name);
    return parse({std::istreambuf_iterator<char>(file), {}});
  };
  EXPECT_TRUE(open("Qwen-Qwen2.5-7B-Instruct.jinja").supports_tools());
  EXPECT_TRUE(open("meta-llama-Llama-3.1-8B-Instruct.jinja").supports_tools());
  EXPECT_FALSE(open("google-gemma-2-2b-it.jinja").supports_tools());
  EXPECT_FALSE(open("google-gemma-2-2b-it.jinja").supports_system_role());
  EXPECT_TRUE(open("microsoft-Phi-3.5-mini-instruct.jinja").supports_system_role());
  EXPECT_TRUE(open("HuggingFaceTB-SmolLM3-3B.jinja").uses("enable_thinking"));
  EXPECT_FALSE(open("Qwen-Qwen2.5-7B-Instruct.jinja").uses("enable_thinking"));
}

TEST(ChatTemplate, ThreadsShareOne) {
  const ChatTemplate chat = parse(builtin_chat_template("chatml"));
  const std::string expected = render(chat, input_of(kTurns));
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int j = 0; j < 50; ++j) EXPECT_EQ(render(chat, input_of(kTurns)), expected);
    });
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace ridgeline
