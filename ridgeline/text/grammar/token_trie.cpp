#include "ridgeline/text/grammar/token_trie.h"

#include <algorithm>
#include <atomic>
#include <numeric>

#include "ridgeline/text/grammar/grammar.h"
#include "ridgeline/text/grammar/lexer.h"
#include "ridgeline/text/tokenizer.h"

namespace ridgeline::grammar {

TokenTrie::TokenTrie(std::vector<std::string> pieces,
                     std::vector<std::pair<TokenId, std::string>> control,
                     std::vector<TokenId> end_of_generation)
    : pieces_(std::move(pieces)), end_(std::move(end_of_generation)) {
  static std::atomic<std::uint64_t> ids{0};
  id_ = ++ids;
  for (const TokenId id : end_) pieces_[static_cast<std::size_t>(id)].clear();
  for (auto& [id, text] : control) {
    pieces_[static_cast<std::size_t>(id)].clear();
    if (!text.empty() && std::find(end_.begin(), end_.end(), id) == end_.end()) {
      control_.push_back({id, std::move(text)});
    }
  }
  for (std::string& piece : pieces_) {
    if (piece.size() > kTokenBytesMax) piece.clear();
    token_length_max_ = std::max(token_length_max_, static_cast<std::uint32_t>(piece.size()));
  }
  build();
  look_inside_strings();
}

void TokenTrie::build() {
  std::vector<TokenId> order;
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    if (!pieces_[i].empty()) order.push_back(static_cast<TokenId>(i));
  }
  std::sort(order.begin(), order.end(), [this](TokenId a, TokenId b) {
    const int order_of_bytes = piece(a).compare(piece(b));
    return order_of_bytes != 0 ? order_of_bytes < 0 : a < b;
  });
  next_same_.assign(pieces_.size(), kNoToken);
  std::vector<std::uint32_t> path;  // nodes of the piece before
  const auto close_last = [&]() {
    const Node& closed = nodes_[path.back()];
    nodes_[path.back()].end = static_cast<std::uint32_t>(nodes_.size());
    path.pop_back();
    if (path.empty()) return;
    std::uint16_t& height = nodes_[path.back()].height;
    height = std::max(height, static_cast<std::uint16_t>(closed.height + 1));
  };
  std::string_view before;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::string_view bytes = piece(order[i]);
    if (bytes == before) {
      next_same_[static_cast<std::size_t>(order[i - 1])] = order[i];
      continue;
    }
    const auto differ = std::mismatch(bytes.begin(), bytes.end(), before.begin(), before.end());
    const auto common = static_cast<std::size_t>(differ.first - bytes.begin());
    while (path.size() > common) close_last();
    for (std::size_t j = common; j < bytes.size(); ++j) {
      path.push_back(static_cast<std::uint32_t>(nodes_.size()));
      nodes_.push_back({0, kNoToken, 0, static_cast<unsigned char>(bytes[j])});
    }
    nodes_[path.back()].token = order[i];
    before = bytes;
  }
  while (!path.empty()) close_last();
}

void TokenTrie::look_inside_strings() {
  inside_string_.assign((pieces_.size() + 31) / 32, 0);
  const DfaPtr dfa = everything();
  std::string prefix;
  const auto visit = [&](const auto& self, std::uint32_t begin, std::uint32_t end,
                         const Lexer& lexer) -> void {
    for (std::uint32_t i = begin; i < end; i = nodes_[i].end) {
      const Node& node = nodes_[i];
      Lexer next = lexer;
      const Lexer::Step step = next.in_string(*dfa, node.byte);
      if (step == Lexer::Step::kRefused) continue;
      if (step == Lexer::Step::kQuote) {
        closings_.push_back({i, prefix});
        continue;
      }
      for (TokenId t = node.token; t != kNoToken; t = next_same(t)) {
        inside_string_[static_cast<std::size_t>(t) / 32] |= 1U << (t % 32);
      }
      prefix.push_back(static_cast<char>(node.byte));
      self(self, i + 1, node.end, next);
      prefix.pop_back();
    }
  };
  visit(visit, 0, static_cast<std::uint32_t>(nodes_.size()), Lexer());
  for (const Node& node : nodes_) {
    inside_before_.push_back(static_cast<std::uint32_t>(inside_order_.size()));
    for (TokenId t = node.token; t != kNoToken; t = next_same(t)) {
      if ((inside_string_[static_cast<std::size_t>(t) / 32] >> (t % 32) & 1) == 0) continue;
      inside_order_.push_back(t);
      if (piece(t).size() > kLongBytes) long_inside_.push_back(t);
    }
  }
  inside_before_.push_back(static_cast<std::uint32_t>(inside_order_.size()));
  std::stable_sort(long_inside_.begin(), long_inside_.end(),
                   [this](TokenId a, TokenId b) { return piece(a).size() > piece(b).size(); });
}

std::span<const TokenTrie::Closing> TokenTrie::closings(std::uint32_t node) const {
  const auto is_before = [](const Closing& closing, std::uint32_t n) { return closing.node < n; };
  const auto begin = std::lower_bound(closings_.begin(), closings_.end(), node, is_before);
  const auto end = std::lower_bound(begin, closings_.end(), nodes_[node].end, is_before);
  return {begin, end};
}

}  // namespace ridgeline::grammar

namespace ridgeline {
namespace {

std::unique_ptr<const grammar::TokenTrie> trie_of(const Tokenizer& tokenizer) {
  std::vector<std::string> pieces;
  std::vector<std::pair<TokenId, std::string>> control;
  std::vector<TokenId> end;
  const VocabularyData& data = tokenizer.data();
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
    pieces.push_back(tokenizer.piece(id));
    using Type = VocabularyData::TokenType;
    if (tokenizer.is_end_of_generation(id)) {
      end.push_back(id);
    } else if (data.type(id) == Type::kControl) {
      control.emplace_back(id, tokenizer.piece(id, true));
    }
  }
  return std::make_unique<const grammar::TokenTrie>(std::move(pieces), std::move(control),
                                                    std::move(end));
}

}  // namespace

GrammarVocabulary::GrammarVocabulary(const Tokenizer& tokenizer) : trie_(trie_of(tokenizer)) {}

GrammarVocabulary::GrammarVocabulary(std::vector<std::string> pieces, std::vector<TokenId> control,
                                     std::vector<TokenId> end_of_generation) {
  std::vector<std::pair<TokenId, std::string>> with_texts;
  for (const TokenId id : control)
    with_texts.emplace_back(id, pieces[static_cast<std::size_t>(id)]);
  trie_ = std::make_unique<const grammar::TokenTrie>(std::move(pieces), std::move(with_texts),
                                                     std::move(end_of_generation));
}

GrammarVocabulary::~GrammarVocabulary() = default;
int GrammarVocabulary::size() const { return trie_->size(); }

}  // namespace ridgeline
