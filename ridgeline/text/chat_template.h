#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/text/jinja/template.h"

namespace ridgeline {

/// What a template is given. Its JSON keeps the order of keys, which templates may
/// print: with nlohmann, ordered_json.
struct ChatInput {
  std::string messages;              ///< a JSON array of objects
  std::optional<std::string> tools;  ///< a JSON array
  bool add_generation_prompt = true;
  /// Further variables, name and JSON: "enable_thinking" and "true", "documents" and an
  /// array. They go before the ones above and the special tokens of the same name.
  std::vector<std::pair<std::string, std::string>> variables;
};

/// From JSON: an array of messages, or an object with `messages` and, if it likes, `tools`,
/// `add_generation_prompt` and further variables.
Result<ChatInput> parse_chat_input(std::string_view json);

/// Texts around a model's reasoning.
struct ThinkingTags {
  std::string_view open, close;
};

/// A model's chat template: turns a conversation into the text that the model reads, as
/// transformers does. Like there, a message's `reasoning_content` may also be called
/// `thinking` or `reasoning`.
class ChatTemplate {
 public:
  /// `name` stands for the template in errors. A token that is empty is undefined to
  /// the template.
  static Result<ChatTemplate> parse(std::string source, std::string bos_token,
                                    std::string eos_token, std::string name);

  Result<std::string> render(const ChatInput& input, const jinja::Limits& limits = {},
                             const jinja::Clock& clock = jinja::Template::local_time) const;

  /// Some variable of this name makes a difference: "enable_thinking", "documents".
  bool uses(std::string_view variable) const { return template_.uses(variable); }
  /// Tools that are given appear in the prompt.
  bool supports_tools() const;
  /// A first message of the role system is accepted, and appears in the prompt.
  bool supports_system_role() const;
  /// Of the pair that the template writes or takes apart; none if it knows of none.
  std::optional<ThinkingTags> thinking_tags() const;
  /// The prompt ends within a block of reasoning: the model goes on with it, and closes it.
  bool ends_in_thinking(std::string_view prompt) const;

  const std::string& source() const { return source_; }

 private:
  ChatTemplate(jinja::Template parsed, std::string source, std::string bos, std::string eos)
      : template_(std::move(parsed)),
        source_(std::move(source)),
        bos_token_(std::move(bos)),
        eos_token_(std::move(eos)) {}

  jinja::Template template_;
  std::string source_, bos_token_, eos_token_;
};

/// Templates that go by a name, for models that have none of their own; null if the name
/// is none of builtin_chat_template_names().
const char* builtin_chat_template(std::string_view name);
std::vector<std::string_view> builtin_chat_template_names();

/// Says that `model` has no chat template, and what to do about it.
Error no_chat_template(std::string_view model);

}  // namespace ridgeline
