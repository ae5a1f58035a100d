#pragma once

#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "ridgeline/server/openai/fields.h"
#include "ridgeline/text/grammar/grammar.h"

namespace ridgeline::openai {

/// What an answer must match.
struct Constraint {
  enum class Kind { kNone, kJsonObject, kJsonSchema, kRegex, kChoice, kGbnf };
  Kind kind = Kind::kNone;
  std::string text;  ///< schema, expression or grammar; of kChoice a JSON array
  std::vector<std::string> choices;
  std::string param;  ///< the field that it came from

  explicit operator bool() const { return kind != Kind::kNone; }
};

/// response_format, vLLM's structured_outputs and guided_*, llama-server's grammar and
/// json_schema: at most one of them.
Constraint read_constraint(Fields& fields);

/// Compiled grammars, the latest ones: so that requests with the same schema share its masks.
class GrammarCache {
 public:
  using Made = Result<Grammar::Ptr>;
  explicit GrammarCache(std::size_t capacity) : capacity_(capacity) {}
  /// What `make` makes of it; it is called without the lock.
  Made get(const std::string& key, const std::function<Made()>& make);

 private:
  struct Entry {
    std::string key;
    Grammar::Ptr grammar;
  };
  std::size_t capacity_;
  std::mutex mutex_;
  std::list<Entry> entries_;  ///< latest first
};

Result<Grammar::Ptr> compile(const Constraint& constraint, GrammarCache& cache);

}  // namespace ridgeline::openai
