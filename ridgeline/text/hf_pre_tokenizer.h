#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/text/hf_regex.h"

namespace ridgeline {

/// tokenizer.json's "pre_tokenizer": cuts a text into the words that the model sees,
/// in stages, each of which cuts every piece that the ones before it left. Immutable.
class HfPreTokenizer {
 public:
  /// Errors: a type that is not supported (the sentence lists those that are), a field
  /// that cannot be used.
  static Result<HfPreTokenizer> create(const nlohmann::json& definition);
  HfPreTokenizer(HfPreTokenizer&&) noexcept;
  HfPreTokenizer& operator=(HfPreTokenizer&&) noexcept;
  ~HfPreTokenizer();

  /// Calls use(word) for each word; none is empty. `text` is valid UTF-8; `is_start`:
  /// the text as the user gave it begins with it.
  template <class Use>
  void for_each_word(std::string_view text, bool is_start, HfRegex::Scratch& scratch,
                     Use&& use) const {
    struct Last final : Sink {
      explicit Last(Use& u) : use_word(u) {}
      void take(std::string_view word, bool) const override { use_word(word); }
      Use& use_word;
    };
    if (!text.empty()) run(0, text, is_start, scratch, Last(use));
  }

  /// Whether the last stage writes bytes as the byte-level map does, so that a model
  /// that takes bytes need not be given that text: remove_byte_map() leaves it out.
  bool ends_with_byte_map() const;
  void remove_byte_map();
  /// Whether `is_start` makes a difference.
  bool asks_for_start() const;

  /// Where pieces go.
  class Sink {
   public:
    virtual void take(std::string_view piece, bool is_start) const = 0;

   protected:
    ~Sink() = default;
  };
  class Stage {
   public:
    virtual ~Stage() = default;
    /// `piece` is not empty; what is given to `sink` may be.
    virtual void cut(std::string_view piece, bool is_start, HfRegex::Scratch& scratch,
                     const Sink& sink) const = 0;
    virtual bool is_byte_map() const { return false; }
    virtual bool asks_for_start() const { return false; }
  };

 private:
  HfPreTokenizer();
  void run(std::size_t stage, std::string_view piece, bool is_start, HfRegex::Scratch& scratch,
           const Sink& last) const;

  std::vector<std::unique_ptr<const Stage>> stages_;
};

}  // namespace ridgeline
