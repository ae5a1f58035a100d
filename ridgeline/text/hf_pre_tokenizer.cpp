#include "ridgeline/text/hf_pre_tokenizer.h"

#include <algorithm>
#include <optional>
#include <string>

#include "ridgeline/text/bert_characters.h"
#include "ridgeline/text/byte_level_map.h"
#include "ridgeline/text/hf_json.h"
#include "ridgeline/text/hf_text.h"

namespace ridgeline {
namespace {

using Sink = HfPreTokenizer::Sink;
using Stage = HfPreTokenizer::Stage;
using Scratch = HfRegex::Scratch;
using Span = HfRegex::Span;

constexpr std::string_view kSupported =
    "Sequence, ByteLevel, Split, Digits, Metaspace, Whitespace, WhitespaceSplit, Punctuation, "
    "BertPreTokenizer, CharDelimiterSplit, FixedLength";

// GPT-2's, which ByteLevel has built in.
constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
// Rust's \w, which is not quite Oniguruma's.
constexpr std::string_view kWhitespacePattern =
    R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200C\u200D]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200C\u200D\s]+)";

// They call each other; real tokenizers have up to six.
constexpr std::size_t kMaxStages = 64;

enum class Behavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

// Parts of a piece, in order, that cover it; matches and what lies between them.
struct Part {
  Span span;
  bool is_match;
};

// Which parts stay together, and which are left out.
void give_parts(std::string_view piece, std::vector<Part>& parts, Behavior behavior, bool is_start,
                const Sink& sink) {
  const auto give = [&](Span span) {
    sink.take(piece.substr(span.begin, span.end - span.begin), is_start && span.begin == 0);
  };
  if (behavior == Behavior::kMergedWithNext) {
    // From the end, where it is the same as merging with the previous one.
    bool was_match = false;
    std::vector<Span> merged;
    for (std::size_t i = parts.size(); i-- > 0;) {
      if (parts[i].is_match && !was_match && !merged.empty()) {
        merged.back().begin = parts[i].span.begin;
      } else {
        merged.push_back(parts[i].span);
      }
      was_match = parts[i].is_match;
    }
    for (std::size_t i = merged.size(); i-- > 0;) give(merged[i]);
    return;
  }
  std::optional<Span> held;
  bool was_match = false;
  for (const Part& part : parts) {
    bool joins = false;
    if (behavior == Behavior::kMergedWithPrevious) joins = part.is_match && !was_match;
    if (behavior == Behavior::kContiguous) joins = part.is_match == was_match;
    if (joins && held) {
      held->end = part.span.end;
    } else {
      if (held) give(*held);
      held.reset();
      if (!part.is_match || behavior != Behavior::kRemoved) held = part.span;
    }
    was_match = part.is_match;
  }
  if (held) give(*held);
}

// Cuts where something matches. A derived class says where, by
// find(piece, scratch, visit), which calls visit(span) for each match in order.
template <class Derived>
class SplitStage : public Stage {
 public:
  SplitStage(Behavior behavior, bool invert) : behavior_(behavior), invert_(invert) {}

  void cut(std::string_view piece, bool is_start, Scratch& scratch, const Sink& sink) const final {
    const auto& self = static_cast<const Derived&>(*this);
    std::size_t at = 0;
    if (behavior_ == Behavior::kIsolated || behavior_ == Behavior::kRemoved) {
      // No part depends on another one, so none is kept.
      const bool gives_matches = behavior_ == Behavior::kIsolated || invert_;
      const bool gives_others = behavior_ == Behavior::kIsolated || !invert_;
      self.find(piece, scratch, [&](Span match) {
        if (gives_others && match.begin > at) {
          sink.take(piece.substr(at, match.begin - at), is_start && at == 0);
        }
        if (gives_matches) {
          sink.take(piece.substr(match.begin, match.end - match.begin),
                    is_start && match.begin == 0);
        }
        at = match.end;
      });
      if (gives_others && at < piece.size()) sink.take(piece.substr(at), is_start && at == 0);
      return;
    }
    std::vector<Part> parts;
    self.find(piece, scratch, [&](Span match) {
      if (match.begin > at) parts.push_back({{at, match.begin}, invert_});
      parts.push_back({match, !invert_});
      at = match.end;
    });
    if (at < piece.size()) parts.push_back({{at, piece.size()}, invert_});
    give_parts(piece, parts, behavior_, is_start, sink);
  }

 private:
  Behavior behavior_;
  bool invert_;
};

class RegexSplit final : public SplitStage<RegexSplit> {
 public:
  RegexSplit(HfRegex regex, Behavior behavior, bool invert)
      : SplitStage(behavior, invert), regex_(std::move(regex)) {}
  template <class Visit>
  void find(std::string_view piece, Scratch& scratch, Visit&& visit) const {
    HfRegex::Matches matches(regex_, piece, scratch);
    Span match{};
    while (matches.next(match)) visit(match);
  }

 private:
  HfRegex regex_;
};

class StringSplit final : public SplitStage<StringSplit> {
 public:
  StringSplit(std::string text, Behavior behavior, bool invert)
      : SplitStage(behavior, invert), text_(std::move(text)) {}
  template <class Visit>
  void find(std::string_view piece, Scratch&, Visit&& visit) const {
    for (std::size_t at = piece.find(text_); at != std::string_view::npos;
         at = piece.find(text_, at + text_.size())) {
      visit(Span{at, at + text_.size()});
    }
  }

 private:
  std::string text_;
};

class CharacterSplit final : public SplitStage<CharacterSplit> {
 public:
  using Predicate = bool (*)(char32_t);
  CharacterSplit(Predicate predicate, Behavior behavior)
      : SplitStage(behavior, false), predicate_(predicate) {}
  template <class Visit>
  void find(std::string_view piece, Scratch&, Visit&& visit) const {
    std::size_t at = 0;
    for_each_character(piece, [&](char32_t c, std::string_view bytes) {
      if (predicate_(c)) visit(Span{at, at + bytes.size()});
      at += bytes.size();
    });
  }

 private:
  Predicate predicate_;
};

class FixedLength final : public Stage {
 public:
  explicit FixedLength(std::int64_t length) : length_(length) {}
  void cut(std::string_view piece, bool is_start, Scratch&, const Sink& sink) const override {
    std::size_t begin = 0, end = 0;
    std::int64_t num_characters = 0;
    for_each_character(piece, [&](char32_t, std::string_view bytes) {
      if (num_characters == length_) {
        sink.take(piece.substr(begin, end - begin), is_start && begin == 0);
        begin = end;
        num_characters = 0;
      }
      ++num_characters;
      end += bytes.size();
    });
    sink.take(piece.substr(begin), is_start && begin == 0);
  }

 private:
  std::int64_t length_;
};

class PrependSpace final : public Stage {
 public:
  void cut(std::string_view piece, bool is_start, Scratch&, const Sink& sink) const override {
    if (piece.starts_with(' ')) return sink.take(piece, is_start);
    std::string text(1, ' ');
    text += piece;
    sink.take(text, is_start);
  }
};

class ByteMap final : public Stage {
 public:
  void cut(std::string_view piece, bool is_start, Scratch&, const Sink& sink) const override {
    std::string text;
    for (const char c : piece) append_utf8(byte_level_symbol(static_cast<std::uint8_t>(c)), text);
    sink.take(text, is_start);
  }
  bool is_byte_map() const override { return true; }
};

// Spaces become a visible mark, which stands in front of every word.
class Metaspace final : public Stage {
 public:
  enum class Prepend { kAlways, kFirst, kNever };
  Metaspace(char32_t mark, Prepend prepend, bool splits) : prepend_(prepend), splits_(splits) {
    append_utf8(mark, mark_);
  }
  void cut(std::string_view piece, bool is_start, Scratch&, const Sink& sink) const override {
    std::string text;
    const bool has_mark = piece.starts_with(mark_) || piece.starts_with(' ');
    if (!has_mark && (prepend_ == Prepend::kAlways || (prepend_ == Prepend::kFirst && is_start))) {
      text = mark_;
    }
    for (const char c : piece) {
      if (c == ' ') {
        text += mark_;
      } else {
        text += c;
      }
    }
    if (!splits_) return sink.take(text, is_start);
    // A mark belongs to what follows it, up to the next one.
    for (std::size_t begin = 0; begin < text.size();) {
      std::size_t end = text.find(
          mark_, begin + (text.compare(begin, mark_.size(), mark_) == 0 ? mark_.size() : 0));
      end = std::min(end, text.size());
      sink.take(std::string_view(text).substr(begin, end - begin), is_start && begin == 0);
      begin = end;
    }
  }
  bool asks_for_start() const override { return prepend_ == Prepend::kFirst; }

 private:
  std::string mark_;
  Prepend prepend_;
  bool splits_;
};

class Reader {
 public:
  explicit Reader(std::vector<std::unique_ptr<const Stage>>& stages) : stages_(stages) {}

  Status read(const HfPart& part) {
    RIDGELINE_TRY(const std::string type, part.string("type"));
    if (type == "Sequence") {
      RIDGELINE_TRY(const auto parts, part.list("pretokenizers"));
      for (const HfPart& child : parts) RIDGELINE_TRY_STATUS(read(child));
      return {};
    }
    if (type == "ByteLevel") return read_byte_level(part);
    if (type == "Split") return read_split(part);
    if (type == "Metaspace") return read_metaspace(part);
    if (type == "Whitespace") return add_regex(kWhitespacePattern, Behavior::kRemoved, true);
    if (type == "WhitespaceSplit") return add_characters(bert::is_white_space, Behavior::kRemoved);
    if (type == "Digits") {
      RIDGELINE_TRY(const bool individual, part.boolean("individual_digits", false));
      return add_characters(is_number, individual ? Behavior::kIsolated : Behavior::kContiguous);
    }
    if (type == "Punctuation") {
      RIDGELINE_TRY(const Behavior behavior, read_behavior(part, "Isolated"));
      return add_characters(bert::is_punctuation, behavior);
    }
    if (type == "BertPreTokenizer") {
      RIDGELINE_TRY_STATUS(add_characters(bert::is_white_space, Behavior::kRemoved));
      return add_characters(bert::is_punctuation, Behavior::kIsolated);
    }
    if (type == "CharDelimiterSplit") {
      RIDGELINE_TRY(const char32_t delimiter, part.character("delimiter", U' '));
      std::string text;
      append_utf8(delimiter, text);
      return add(std::make_unique<StringSplit>(std::move(text), Behavior::kRemoved, false));
    }
    if (type == "FixedLength") {
      RIDGELINE_TRY(const std::int64_t length, part.integer("length", 5));
      if (length == 0) return fail("'" + part.name() + ".length' is 0; expected at least 1");
      return add(std::make_unique<FixedLength>(length));
    }
    return part.unsupported_type(type, kSupported);
  }

 private:
  Status add(std::unique_ptr<const Stage> stage) {
    if (stages_.size() == kMaxStages) {
      return fail("the pre_tokenizer has more than " + std::to_string(kMaxStages) + " stages");
    }
    stages_.push_back(std::move(stage));
    return {};
  }
  Status add_characters(CharacterSplit::Predicate predicate, Behavior behavior) {
    return add(std::make_unique<CharacterSplit>(predicate, behavior));
  }
  Status add_regex(std::string_view pattern, Behavior behavior, bool invert) {
    RIDGELINE_TRY(HfRegex regex, HfRegex::create(pattern));
    return add(std::make_unique<RegexSplit>(std::move(regex), behavior, invert));
  }

  static Result<Behavior> read_behavior(const HfPart& part, const char* fallback) {
    RIDGELINE_TRY(const std::string name, part.string("behavior", fallback));
    if (name == "Removed") return Behavior::kRemoved;
    if (name == "Isolated") return Behavior::kIsolated;
    if (name == "MergedWithPrevious") return Behavior::kMergedWithPrevious;
    if (name == "MergedWithNext") return Behavior::kMergedWithNext;
    if (name == "Contiguous") return Behavior::kContiguous;
    return fail("'" + part.name() + ".behavior' is \"" + name +
                "\"; expected Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous");
  }

  Status read_byte_level(const HfPart& part) {
    RIDGELINE_TRY(const bool add_prefix_space, part.boolean("add_prefix_space", true));
    RIDGELINE_TRY(const bool use_regex, part.boolean("use_regex", true));
    if (add_prefix_space) RIDGELINE_TRY_STATUS(add(std::make_unique<PrependSpace>()));
    if (use_regex) {
      RIDGELINE_TRY_STATUS(add_regex(kGpt2Pattern, Behavior::kIsolated, false));
    }
    return add(std::make_unique<ByteMap>());
  }

  Status read_split(const HfPart& part) {
    RIDGELINE_TRY(const HfPart::Pattern pattern, part.pattern("pattern"));
    RIDGELINE_TRY(const Behavior behavior, read_behavior(part, ""));
    RIDGELINE_TRY(const bool invert, part.boolean("invert", false));
    if (pattern.is_regex) return add_regex(pattern.text, behavior, invert);
    if (pattern.text.empty()) {
      return fail("'" + part.name() + ".pattern' is an empty string; expected one to split at");
    }
    return add(std::make_unique<StringSplit>(pattern.text, behavior, invert));
  }

  Status read_metaspace(const HfPart& part) {
    RIDGELINE_TRY(const char32_t mark, part.character("replacement", U'\u2581'));
    RIDGELINE_TRY(const bool splits, part.boolean("split", true));
    RIDGELINE_TRY(const bool add_prefix_space, part.boolean("add_prefix_space", true));
    // Files written before there was a scheme have add_prefix_space alone.
    RIDGELINE_TRY(const std::string scheme,
                  part.string("prepend_scheme", add_prefix_space ? "always" : "never"));
    auto prepend = Metaspace::Prepend::kAlways;
    if (scheme == "first") {
      prepend = Metaspace::Prepend::kFirst;
    } else if (scheme == "never") {
      prepend = Metaspace::Prepend::kNever;
    } else if (scheme != "always") {
      return fail("'" + part.name() + ".prepend_scheme' is \"" + scheme +
                  "\"; expected always, first or never");
    }
    return add(std::make_unique<Metaspace>(mark, prepend, splits));
  }

  std::vector<std::unique_ptr<const Stage>>& stages_;
};

}  // namespace

HfPreTokenizer::HfPreTokenizer() = default;
HfPreTokenizer::HfPreTokenizer(HfPreTokenizer&&) noexcept = default;
HfPreTokenizer& HfPreTokenizer::operator=(HfPreTokenizer&&) noexcept = default;
HfPreTokenizer::~HfPreTokenizer() = default;

Result<HfPreTokenizer> HfPreTokenizer::create(const nlohmann::json& definition) {
  HfPreTokenizer pre_tokenizer;
  if (definition.is_null()) return pre_tokenizer;
  RIDGELINE_TRY_STATUS(Reader(pre_tokenizer.stages_).read(HfPart(definition, "pre_tokenizer")));
  return pre_tokenizer;
}

bool HfPreTokenizer::ends_with_byte_map() const {
  return !stages_.empty() && stages_.back()->is_byte_map();
}
bool HfPreTokenizer::asks_for_start() const {
  return std::any_of(stages_.begin(), stages_.end(),
                     [](const auto& stage) { return stage->asks_for_start(); });
}
void HfPreTokenizer::remove_byte_map() { stages_.pop_back(); }

void HfPreTokenizer::run(std::size_t stage, std::string_view piece, bool is_start, Scratch& scratch,
                         const Sink& last) const {
  if (piece.empty()) return;
  if (stage == stages_.size()) return last.take(piece, is_start);
  struct Next final : Sink {
    Next(const HfPreTokenizer& o, std::size_t s, Scratch& m, const Sink& l)
        : owner(o), next_stage(s), match_scratch(m), last_sink(l) {}
    void take(std::string_view part, bool part_is_start) const override {
      owner.run(next_stage, part, part_is_start, match_scratch, last_sink);
    }
    const HfPreTokenizer& owner;
    std::size_t next_stage;
    Scratch& match_scratch;
    const Sink& last_sink;
  };
  stages_[stage]->cut(piece, is_start, scratch, Next(*this, stage + 1, scratch, last));
}

}  // namespace ridgeline
