#include "ridgeline/tools/conversation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "tests/support/random_model.h"

namespace ridgeline {
namespace {

using testing::HasSubstr;

class ConversationTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = test::temporary_path("conversation.gguf");
    test::write_random_model(path_, {.dtype = DType::kF32, .tied = true});
    engine_ = load();
  }
  void TearDown() override { std::remove(path_.c_str()); }

  std::unique_ptr<Engine> load() const {
    EngineOptions options;
    options.backend.threads = 2;
    options.backend.pin = false;
    options.context = 400;
    options.prefix_cache = true;
    auto engine = Engine::load(path_, options);
    EXPECT_TRUE(engine) << engine.error().message;
    return std::move(*engine);
  }
  static ChatTemplate chat_template(const char* source = builtin_chat_template("chatml")) {
    auto parsed = ChatTemplate::parse(source, "", "", "a test");
    EXPECT_TRUE(parsed) << parsed.error().message;
    return std::move(*parsed);
  }
  static SamplingParams params(int tokens) {
    SamplingParams p;
    p.max_tokens = tokens;
    p.ignore_eos = true;
    p.seed = 7;
    return p;
  }
  AnswerStats ask(Conversation& conversation, const std::string& question, int tokens = 12) {
    conversation.add({"user", question, ""});
    return answer(conversation, tokens);
  }
  AnswerStats answer(Conversation& conversation, int tokens = 12) {
    const std::atomic<bool> never = false;
    streamed_.clear();
    const auto stats = conversation.answer(
        params(tokens), [&](const Conversation::Piece& p) { streamed_ += p.text; }, never);
    EXPECT_TRUE(stats) << stats.error().message;
    return stats.value_or(AnswerStats{});
  }

  std::string path_, streamed_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(ConversationTest, EarlierTurnsAreNotComputedAgain) {
  Conversation conversation(*engine_, chat_template());
  conversation.set_system("You are brief.");
  const AnswerStats first = ask(conversation, "Who goes there?");
  EXPECT_EQ(first.reused_tokens, 0);
  EXPECT_EQ(first.answer_tokens, 12);
  EXPECT_EQ(first.finish_reason, FinishReason::kLength);
  EXPECT_EQ(conversation.messages().back().content, streamed_);

  const AnswerStats second = ask(conversation, "And where to?");
  // Of the last answer's last token nothing was in the cache; whole blocks are found again.
  EXPECT_EQ(second.reused_tokens, (first.prompt_tokens + first.answer_tokens - 1) / 16 * 16);
  EXPECT_GT(second.prompt_tokens, second.reused_tokens);
}

TEST_F(ConversationTest, ReuseChangesNothing) {
  Conversation conversation(*engine_, chat_template());
  ask(conversation, "Who goes there?");
  ask(conversation, "And where to?");
  const std::string with_cache = streamed_;
  // The same two turns asked anew: nothing is shared with what came before.
  std::string answers;
  for (int i = 0; i < 2; ++i) {
    const auto other = load();
    Conversation fresh(*other, chat_template());
    ask(fresh, "Who goes there?");
    const AnswerStats stats = ask(fresh, "And where to?");
    EXPECT_GT(stats.reused_tokens, 0);
    EXPECT_EQ(streamed_, with_cache);
  }
}

TEST_F(ConversationTest, AnswersCanBeTakenBack) {
  Conversation conversation(*engine_, chat_template());
  EXPECT_FALSE(conversation.drop_last(true));
  const AnswerStats first = ask(conversation, "Who goes there?");
  const std::string answer_text = streamed_;
  ASSERT_TRUE(conversation.drop_last(/*question=*/false));
  EXPECT_EQ(conversation.messages().size(), 1U);
  const AnswerStats again = answer(conversation);
  EXPECT_EQ(streamed_, answer_text);  // the seed is the same
  EXPECT_EQ(again.reused_tokens, (first.prompt_tokens - 1) / 16 * 16);
  ASSERT_TRUE(conversation.drop_last(/*question=*/true));
  EXPECT_TRUE(conversation.messages().empty());
}

TEST_F(ConversationTest, StopsWhenAsked) {
  Conversation conversation(*engine_, chat_template());
  conversation.add({"user", "Talk.", ""});
  std::atomic<bool> stop = false;
  int pieces = 0;
  const auto stats = conversation.answer(
      params(300), [&](const Conversation::Piece&) { stop = ++pieces == 3; }, stop);
  ASSERT_TRUE(stats) << stats.error().message;
  EXPECT_EQ(stats->finish_reason, FinishReason::kCancelled);
  EXPECT_LT(stats->answer_tokens, 300);
  EXPECT_EQ(conversation.messages().back().role, "assistant");
  const AnswerStats next = ask(conversation, "Go on.");
  EXPECT_GE(next.reused_tokens, stats->prompt_tokens / 16 * 16);
}

TEST_F(ConversationTest, TheEndOfTheContextIsAnEnd) {
  Conversation conversation(*engine_, chat_template());
  const AnswerStats stats = ask(conversation, std::string(300, 'x'), 300);
  EXPECT_EQ(stats.finish_reason, FinishReason::kLength);
  EXPECT_EQ(stats.prompt_tokens + stats.answer_tokens, engine_->context());
  const std::atomic<bool> never = false;
  conversation.add({"user", "more", ""});
  const auto refused = conversation.answer(
      params(5), [](const auto&) {}, never);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("but the context holds 400"));
}

TEST_F(ConversationTest, SavesAndLoads) {
  Conversation conversation(*engine_, chat_template());
  conversation.set_system("S");
  ask(conversation, "Q");
  Conversation other(*engine_, chat_template());
  ASSERT_TRUE(other.from_json(conversation.to_json(), "x.json"));
  ASSERT_EQ(other.messages().size(), 3U);
  EXPECT_EQ(other.messages()[0].content, "S");
  EXPECT_THAT(other.from_json("{", "x.json").error().message,
              HasSubstr("x.json: expected JSON with an array of messages"));
  EXPECT_THAT(other.from_json(R"([{"role":"user"}])", "x.json").error().message,
              HasSubstr("message 1 has no 'role' and 'content'"));
  EXPECT_EQ(other.messages().size(), 3U);
}

TEST_F(ConversationTest, TemplateErrorsAreSentences) {
  Conversation conversation(*engine_, chat_template("{{ raise_exception('no!') }}"));
  conversation.add({"user", "Q", ""});
  const std::atomic<bool> never = false;
  const auto refused = conversation.answer(
      params(5), [](const auto&) {}, never);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("no!"));
}

}  // namespace
}  // namespace ridgeline
