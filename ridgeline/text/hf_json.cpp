#include "ridgeline/text/hf_json.h"

#include <cmath>
#include <limits>

#include "ridgeline/text/utf8.h"
#include "ridgeline/text/vocabulary.h"

namespace ridgeline {
namespace {

using nlohmann::json;

// Real files nest seven deep.
constexpr std::size_t kMaxDepth = 64;
// The largest real files have 35 MB.
constexpr std::size_t kMaxBytes = std::size_t{1} << 30;

// Builds the tree as the parser goes, except for what a derived class takes instead.
class TreeBuilder : public nlohmann::json_sax<json> {
 public:
  explicit TreeBuilder(json& root) : root_(&root) {}
  const std::string& error() const { return error_; }

  bool null() override { return add(json()); }
  bool boolean(bool value) override { return add(json(value)); }
  bool number_integer(std::int64_t value) override { return add(json(value)); }
  bool number_unsigned(std::uint64_t value) override { return add(json(value)); }
  bool number_float(double value, const std::string&) override { return add(json(value)); }
  bool string(std::string& value) override { return add(json(std::move(value))); }
  bool binary(json::binary_t&) override { return stop("binary data"); }
  bool start_object(std::size_t) override { return open(json::object()); }
  bool start_array(std::size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(std::string& value) override {
    key_ = std::move(value);
    return true;
  }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    return stop("it is no JSON: parsing stops at byte " + std::to_string(position));
  }

 protected:
  bool stop(std::string error) {
    error_ = std::move(error);
    return false;
  }
  std::size_t depth() const { return open_.size(); }
  const std::string& current_key() const { return key_; }
  // Whether what comes next is the value of `key` within the root's `parent`.
  bool is_at(std::string_view parent, std::string_view key) const {
    return open_.size() == 2 && second_key_ == parent && open_[1]->is_object() && key_ == key;
  }

 private:
  bool add(json value) {
    place(std::move(value));
    return true;
  }
  json* place(json value) {
    if (open_.empty()) {
      *root_ = std::move(value);
      return root_;
    }
    json& parent = *open_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    json& slot = parent[key_];
    slot = std::move(value);
    return &slot;
  }
  bool open(json value) {
    if (open_.size() == kMaxDepth) {
      return stop("its values nest more than " + std::to_string(kMaxDepth) + " deep");
    }
    if (open_.size() == 1) second_key_ = key_;
    open_.push_back(place(std::move(value)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  json* root_;
  std::vector<json*> open_;
  std::string key_;
  std::string second_key_;  // of the value that is open at depth 2
  std::string error_;
};

// Takes model.vocab and model.merges out of the stream.
class TokenizerBuilder final : public TreeBuilder {
 public:
  explicit TokenizerBuilder(HfTokenizerJson& file) : TreeBuilder(file.root), file_(file) {}

  bool null() override { return in_ == In::kTree ? TreeBuilder::null() : wrong_form(); }
  bool boolean(bool value) override {
    return in_ == In::kTree ? TreeBuilder::boolean(value) : wrong_form();
  }
  bool number_integer(std::int64_t value) override {
    return in_ == In::kTree ? TreeBuilder::number_integer(value)
                            : number(static_cast<double>(value), value);
  }
  bool number_unsigned(std::uint64_t value) override {
    if (in_ == In::kTree) return TreeBuilder::number_unsigned(value);
    constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    return number(static_cast<double>(value), static_cast<std::int64_t>(std::min(value, kMax)));
  }
  bool number_float(double value, const std::string& text) override {
    if (in_ == In::kTree) return TreeBuilder::number_float(value, text);
    if (in_ == In::kVocabMap) return wrong_form();
    return number(value, 0);
  }
  bool string(std::string& value) override;
  bool start_object(std::size_t size) override {
    if (in_ != In::kTree) return wrong_form();
    if (!is_at("model", "vocab")) return TreeBuilder::start_object(size);
    if (!file_.vocab.empty()) return wrong_form();
    in_ = In::kVocabMap;
    return true;
  }
  bool end_object() override {
    if (in_ == In::kTree) return TreeBuilder::end_object();
    in_ = In::kTree;
    return true;
  }
  bool start_array(std::size_t size) override;
  bool end_array() override;
  bool key(std::string& value) override {
    if (in_ == In::kTree) return TreeBuilder::key(value);
    text_ = std::move(value);
    return true;
  }

 private:
  enum class In { kTree, kVocabMap, kVocabList, kVocabPair, kMerges, kMergePair };

  bool wrong_form() {
    if (in_ == In::kMerges || in_ == In::kMergePair) {
      return stop("'merges' of the model is not a list of \"left right\" or [\"left\", \"right\"]");
    }
    return stop(
        "'vocab' of the model is neither an object of tokens and ids nor a list of [piece, score]");
  }
  bool number(double score, std::int64_t id) {
    if (in_ == In::kVocabMap) {
      file_.vocab.push_back({std::move(text_), id, 0});
      return true;
    }
    if (in_ != In::kVocabPair || num_in_pair_ != 1) return wrong_form();
    const auto place = static_cast<std::int64_t>(file_.vocab.size());
    file_.vocab.push_back({std::move(text_), place, score});
    ++num_in_pair_;
    return true;
  }
  void add_merge(std::string_view left, std::string_view right) {
    file_.merge_texts.append(left).append(right);
    file_.merges.push_back(
        {static_cast<std::uint32_t>(left.size()), static_cast<std::uint32_t>(right.size())});
  }

  HfTokenizerJson& file_;
  In in_ = In::kTree;
  int num_in_pair_ = 0;
  std::string text_;  // what was read last: a token, or a merge's left part
};

bool TokenizerBuilder::string(std::string& value) {
  switch (in_) {
    case In::kTree:
      return TreeBuilder::string(value);
    case In::kVocabPair:
      if (num_in_pair_++ != 0) return wrong_form();
      text_ = std::move(value);
      return true;
    case In::kMerges: {
      // Files that the library's first versions wrote begin with a line of comment.
      if (file_.merges.empty() && value.starts_with("#version")) return true;
      const std::size_t space = value.find(' ');
      if (space == std::string::npos || value.find(' ', space + 1) != std::string::npos) {
        return stop("merge " + std::to_string(file_.merges.size()) + " of the model is " +
                    ridgeline::quoted(value) + "; expected two tokens with a space between them");
      }
      add_merge(std::string_view(value).substr(0, space),
                std::string_view(value).substr(space + 1));
      return true;
    }
    case In::kMergePair:
      if (num_in_pair_ == 0) {
        text_ = std::move(value);
      } else if (num_in_pair_ == 1) {
        add_merge(text_, value);
      } else {
        return wrong_form();
      }
      ++num_in_pair_;
      return true;
    default:
      return wrong_form();
  }
}

bool TokenizerBuilder::start_array(std::size_t size) {
  if (in_ == In::kVocabList || in_ == In::kMerges) {
    in_ = in_ == In::kVocabList ? In::kVocabPair : In::kMergePair;
    num_in_pair_ = 0;
    return true;
  }
  if (in_ != In::kTree) return wrong_form();
  if (is_at("model", "vocab")) {
    if (!file_.vocab.empty()) return wrong_form();
    in_ = In::kVocabList;
  } else if (is_at("model", "merges")) {
    if (!file_.merges.empty()) return wrong_form();
    in_ = In::kMerges;
  } else {
    return TreeBuilder::start_array(size);
  }
  return true;
}

bool TokenizerBuilder::end_array() {
  switch (in_) {
    case In::kTree:
      return TreeBuilder::end_array();
    case In::kVocabPair:
    case In::kMergePair:
      if (num_in_pair_ != 2) return wrong_form();
      in_ = in_ == In::kVocabPair ? In::kVocabList : In::kMerges;
      return true;
    default:
      in_ = In::kTree;
      return true;
  }
}

Status parse(std::string_view text, TreeBuilder& builder) {
  if (text.size() > kMaxBytes) {
    return fail("it has " + std::to_string(text.size()) + " bytes; expected at most " +
                std::to_string(kMaxBytes));
  }
  if (!json::sax_parse(text.begin(), text.end(), &builder)) return fail(builder.error());
  return {};
}

}  // namespace

Result<HfTokenizerJson> parse_hf_tokenizer_json(std::string_view text) {
  HfTokenizerJson file;
  TokenizerBuilder builder(file);
  RIDGELINE_TRY_STATUS(parse(text, builder));
  if (!file.root.is_object()) return fail("it is no JSON object");
  return file;
}

Result<json> parse_hf_json(std::string_view text) {
  json root;
  TreeBuilder builder(root);
  RIDGELINE_TRY_STATUS(parse(text, builder));
  if (!root.is_object()) return fail("it is no JSON object");
  return root;
}

const json* HfPart::find(const char* key) const {
  if (!value_->is_object()) return nullptr;
  const auto found = value_->find(key);
  return found == value_->end() || found->is_null() ? nullptr : &*found;
}

HfPart HfPart::child(const char* key) const {
  static const json kNull;
  const json* found = find(key);
  return HfPart(found == nullptr ? kNull : *found, name_.empty() ? key : name_ + "." + key);
}

tl::unexpected<Error> HfPart::wrong(const char* key, std::string_view expected) const {
  const json* found = find(key);
  const std::string field = name_.empty() ? std::string(key) : name_ + "." + key;
  if (found == nullptr)
    return fail("'" + field + "' is missing; expected " + std::string(expected));
  const std::string value =
      found->is_string() ? ridgeline::quoted(found->get_ref<const std::string&>())
                         : (found->is_structured() ? "a value of another type" : found->dump());
  return fail("'" + field + "' is " + value + "; expected " + std::string(expected));
}

tl::unexpected<Error> HfPart::unsupported_type(std::string_view type,
                                               std::string_view supported) const {
  return fail("the " + name_ + " has the type " + ridgeline::quoted(type) +
              ", which is not supported; supported: " + std::string(supported));
}

Result<std::string> HfPart::string(const char* key) const {
  const json* found = find(key);
  if (found == nullptr || !found->is_string()) return wrong(key, "a string");
  return found->get<std::string>();
}

Result<std::string> HfPart::string(const char* key, std::string fallback) const {
  if (find(key) == nullptr) return fallback;
  return string(key);
}

Result<char32_t> HfPart::character(const char* key, char32_t fallback) const {
  if (find(key) == nullptr) return fallback;
  RIDGELINE_TRY(const std::string text, string(key));
  if (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    if (step.status == Utf8Step::Status::kCharacter && step.length_bytes == text.size()) {
      return step.code_point;
    }
  }
  return wrong(key, "one character");
}

Result<bool> HfPart::boolean(const char* key, bool fallback) const {
  const json* found = find(key);
  if (found == nullptr) return fallback;
  if (!found->is_boolean()) return wrong(key, "true or false");
  return found->get<bool>();
}

Result<std::int64_t> HfPart::integer(const char* key, std::int64_t fallback) const {
  const json* found = find(key);
  if (found == nullptr) return fallback;
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max());
  if (!found->is_number_unsigned() || found->get<std::uint64_t>() > kMax) {
    return wrong(key, "a number from 0 to " + std::to_string(kMax));
  }
  return found->get<std::int64_t>();
}

Result<std::vector<HfPart>> HfPart::list(const char* key) const {
  const json* found = find(key);
  if (found == nullptr || !found->is_array()) return wrong(key, "a list");
  std::vector<HfPart> parts;
  for (const json& element : *found) {
    const std::string name = name_.empty() ? key : name_ + "." + key;
    parts.emplace_back(element, name + "[" + std::to_string(parts.size()) + "]");
  }
  return parts;
}

Result<HfPart::Pattern> HfPart::pattern(const char* key) const {
  const json* found = find(key);
  if (found != nullptr && found->is_object() && found->size() == 1) {
    for (const char* kind : {"String", "Regex"}) {
      const auto text = found->find(kind);
      if (text != found->end() && text->is_string()) {
        return Pattern{text->get<std::string>(), kind[0] == 'R'};
      }
    }
  }
  return wrong(key, R"({"String": ...} or {"Regex": ...})");
}

}  // namespace ridgeline
