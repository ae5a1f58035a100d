// ridgeline chat as a script would use it; with a person it is the same below the editor.

#include "tests/cli/program.h"

namespace ridgeline {
namespace {

using test::Outcome;
using test::ridgeline;
using testing::HasSubstr;

std::vector<std::string> chat(std::vector<std::string> more = {}) {
  std::vector<std::string> arguments{"chat", "--chat-template", "chatml", "-n", "8", "--seed", "1"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TEST(Chat, AnswersLineByLine) {
  const Outcome o = ridgeline(chat(), "Hello\n\n/stats\nAgain\\\nand again\n/stats\n");
  EXPECT_EQ(o.exit_code, 0) << o.err;
  EXPECT_GE(std::ranges::count(o.out, '\n'), 2);
  EXPECT_EQ(o.out.find('\x1b'), std::string::npos) << "colours without a terminal";
  EXPECT_THAT(o.err, HasSubstr(", 0 of them from the cache"));
  EXPECT_THAT(o.err, HasSubstr("finish_reason length"));
}

TEST(Chat, Commands) {
  const std::string path = test::temporary_path("talk.json");
  const Outcome o =
      ridgeline(chat(), "/system Be brief.\nHello\n/regen\n/save " + path + "\n/clear\n/load " +
                            path + "\n/params temp 0\n/undo\n/help\n/exit\nx\n");
  EXPECT_EQ(o.exit_code, 0) << o.err;
  EXPECT_THAT(test::read_file(path), HasSubstr("\"role\": \"assistant\""));
  EXPECT_THAT(test::read_file(path), HasSubstr("Be brief."));
  for (const char* part : {"(system prompt set)", "(3 messages in ", "(a new conversation)",
                           "(3 messages from ", "temp 0 ", "are gone)", "/regen"})
    EXPECT_THAT(o.err, HasSubstr(part));
  std::remove(path.c_str());
}

TEST(Chat, BadInputIsOneSentence) {
  test::expect_error(ridgeline(chat(), "/nonsense\n"), "/nonsense: is no command");
  test::expect_error(ridgeline(chat(), "/params temp warm\n"), "expected a name and a number");
  test::expect_error(ridgeline(chat(), "/load /nonexistent.json\n"), "/nonexistent.json");
  test::expect_error(ridgeline(chat({"--no-thinking"}), "Hello\n"),
                     "the chat template has no variable enable_thinking");
  test::expect_error(ridgeline({"chat"}, "Hello\n"), "has no chat template");
}

}  // namespace
}  // namespace ridgeline
