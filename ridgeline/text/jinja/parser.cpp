#include "ridgeline/text/jinja/parser.h"

#include <fmt/format.h>

#include <algorithm>

#include "ridgeline/text/jinja/expression_parser.h"
#include "ridgeline/text/jinja/runtime.h"

namespace ridgeline::jinja {
namespace {

using Kind = Stmt::Kind;
using Type = Token::Type;
using Names = std::vector<std::string_view>;

class Parser {
 public:
  explicit Parser(std::string_view source) : stream_(tokenize(source)), expressions_(stream_) {}

  Program run() {
    Program program;
    program.body = parse_body({});
    return program;
  }

 private:
  StmtPtr make(Kind kind) const {
    auto stmt = std::make_unique<Stmt>();
    stmt->kind = kind;
    stmt->line = stream_.line();
    return stmt;
  }

  /// Statements up to one of the tags `ends`, which is then the current token; up to
  /// the template's end if there are none.
  Body parse_body(const Names& ends) {
    const Depth level(depth_, kMaxNesting / 2);
    Body body;
    for (;;) {
      switch (stream_.current().type) {
        case Type::kData: {
          StmtPtr text = make(Kind::kText);
          text->text = stream_.next().text;
          body.push_back(std::move(text));
          break;
        }
        case Type::kVariableBegin: {
          StmtPtr output = make(Kind::kOutput);
          stream_.next();
          output->expressions.push_back(expressions_.parse_tuple({}));
          stream_.expect(Type::kVariableEnd);
          body.push_back(std::move(output));
          break;
        }
        case Type::kBlockBegin:
          stream_.next();
          if (std::ranges::any_of(ends, [this](auto name) { return stream_.is_name(name); }))
            return body;
          body.push_back(parse_statement(ends));
          stream_.expect(Type::kBlockEnd);
          break;
        default:
          if (!ends.empty())
            stream_.fail(
                fmt::format("unexpected end of template, expected {{% {} %}}", list_of(ends)));
          return body;
      }
    }
  }

  static std::string list_of(const Names& names) {
    std::string text;
    for (const std::string_view name : names)
      text += fmt::format("{}{}", text.empty() ? "" : " or ", name);
    return text;
  }

  /// The statements of a tag, from its end on; `ends` is current afterwards.
  Body parse_tag_body(const Names& ends) {
    stream_.skip_operator(":");
    stream_.expect(Type::kBlockEnd);
    return parse_body(ends);
  }
  /// The same, and past the one tag that ends it.
  Body parse_whole_body(std::string_view end) {
    Body body = parse_tag_body({end});
    stream_.next();
    return body;
  }

  StmtPtr parse_statement(const Names& ends) {
    if (!stream_.is(Type::kName)) stream_.fail("tag name expected");
    struct Tag {
      std::string_view name;
      StmtPtr (Parser::*parse)();
    };
    constexpr Tag kTags[] = {
        {"for", &Parser::parse_for},         {"if", &Parser::parse_if},
        {"set", &Parser::parse_set},         {"macro", &Parser::parse_macro},
        {"call", &Parser::parse_call_block}, {"filter", &Parser::parse_filter_block},
        {"with", &Parser::parse_with},       {"block", &Parser::parse_block},
        {"print", &Parser::parse_print},     {"generation", &Parser::parse_generation},
        {"break", &Parser::parse_break},     {"continue", &Parser::parse_continue},
    };
    for (const Tag& tag : kTags)
      if (stream_.is_name(tag.name)) return (this->*tag.parse)();
    const std::string& name = stream_.current().text;
    for (const char* other : {"include", "import", "from", "extends"})
      if (name == other)
        stream_.fail(
            fmt::format("{{% {} %}} needs other templates, and there are none: a chat "
                        "template stands for itself",
                        name));
    if (name == "autoescape") stream_.fail("{% autoescape %} is not supported");
    if (ends.empty()) stream_.fail(fmt::format("unknown tag '{}'", name));
    stream_.fail(fmt::format("unknown tag '{}', expected {{% {} %}}", name, list_of(ends)));
  }

  StmtPtr parse_for() {
    StmtPtr stmt = make(Kind::kFor);
    stream_.next();
    stmt->targets.push_back(expressions_.parse_target("in", false));
    stream_.expect_name("in");
    ExpressionParser::TupleOptions options;
    options.with_conditional = false;
    options.end_name = "recursive";
    stmt->iterable = expressions_.parse_tuple(options);
    if (stream_.skip_name("if")) stmt->test = expressions_.parse_expression();
    stmt->recursive = stream_.skip_name("recursive");
    stmt->bodies.push_back(parse_tag_body({"endfor", "else"}));
    if (stream_.next().text == "else") {
      stmt->else_body = parse_whole_body("endfor");
      stmt->has_else = !stmt->else_body.empty();
    }
    return stmt;
  }

  StmtPtr parse_if() {
    StmtPtr stmt = make(Kind::kIf);
    stream_.next();
    ExpressionParser::TupleOptions options;
    options.with_conditional = false;
    for (;;) {
      stmt->expressions.push_back(expressions_.parse_tuple(options));
      stmt->bodies.push_back(parse_tag_body({"elif", "else", "endif"}));
      const std::string& end = stream_.next().text;
      if (end == "elif") continue;
      if (end == "else") stmt->else_body = parse_whole_body("endif");
      return stmt;
    }
  }

  StmtPtr parse_set() {
    StmtPtr stmt = make(Kind::kSet);
    stream_.next();
    stmt->targets.push_back(expressions_.parse_target("", true));
    if (stream_.skip_operator("=")) {
      stmt->expressions.push_back(expressions_.parse_tuple({}));
      return stmt;
    }
    stmt->kind = Kind::kSetBlock;
    if (ExprPtr filter = expressions_.parse_filters(nullptr))
      stmt->expressions.push_back(std::move(filter));
    stmt->bodies.push_back(parse_whole_body("endset"));
    return stmt;
  }

  void parse_signature(MacroSignature& signature) {
    stream_.expect_operator("(");
    while (!stream_.is_operator(")")) {
      if (!signature.parameters.empty()) stream_.expect_operator(",");
      std::string name = stream_.expect_any_name();
      if (std::ranges::find(signature.parameters, name) != signature.parameters.end())
        stream_.fail(fmt::format("duplicate parameter '{}'", name));
      signature.parameters.push_back(std::move(name));
      if (stream_.skip_operator("=")) {
        signature.defaults.push_back(expressions_.parse_expression());
      } else if (!signature.defaults.empty()) {
        stream_.fail("non-default argument follows default argument");
      }
    }
    stream_.expect_operator(")");
  }

  StmtPtr parse_macro() {
    StmtPtr stmt = make(Kind::kMacro);
    stream_.next();
    stmt->targets.push_back(expressions_.parse_name_target());
    stmt->signature.name = stmt->targets[0]->name;
    parse_signature(stmt->signature);
    stmt->bodies.push_back(parse_whole_body("endmacro"));
    return stmt;
  }

  StmtPtr parse_call_block() {
    StmtPtr stmt = make(Kind::kCallBlock);
    stream_.next();
    if (stream_.is_operator("(")) parse_signature(stmt->signature);
    stmt->expressions.push_back(expressions_.parse_expression());
    if (stmt->expressions[0]->kind != Expr::Kind::kCall) stream_.fail("expected call");
    stmt->bodies.push_back(parse_whole_body("endcall"));
    return stmt;
  }

  StmtPtr parse_generation() {
    StmtPtr stmt = make(Kind::kGeneration);
    stream_.next();
    stmt->bodies.push_back(parse_whole_body("endgeneration"));
    return stmt;
  }

  StmtPtr parse_filter_block() {
    StmtPtr stmt = make(Kind::kFilterBlock);
    stream_.next();
    stmt->expressions.push_back(expressions_.parse_filters(nullptr, true));
    stmt->bodies.push_back(parse_whole_body("endfilter"));
    return stmt;
  }

  StmtPtr parse_with() {
    StmtPtr stmt = make(Kind::kWith);
    stream_.next();
    while (!stream_.is(Type::kBlockEnd)) {
      if (!stmt->targets.empty()) stream_.expect_operator(",");
      stmt->targets.push_back(expressions_.parse_target("", false));
      stream_.expect_operator("=");
      stmt->expressions.push_back(expressions_.parse_expression());
    }
    stmt->bodies.push_back(parse_whole_body("endwith"));
    return stmt;
  }

  /// Nothing extends a chat template, so a block is its own text.
  StmtPtr parse_block() {
    StmtPtr stmt = make(Kind::kBlock);
    stream_.next();
    stmt->text = stream_.expect_any_name();
    if (std::ranges::find(blocks_, stmt->text) != blocks_.end())
      stream_.fail(fmt::format("block '{}' defined twice", stmt->text));
    blocks_.push_back(stmt->text);
    if (stream_.is_name("scoped") || stream_.is_name("required"))
      stream_.fail(fmt::format("blocks that are {} are not supported", stream_.current().text));
    stmt->bodies.push_back(parse_whole_body("endblock"));
    stream_.skip_name(stmt->text);
    return stmt;
  }

  StmtPtr parse_print() {
    StmtPtr stmt = make(Kind::kOutput);
    stream_.next();
    while (!stream_.is(Type::kBlockEnd)) {
      if (!stmt->expressions.empty()) stream_.expect_operator(",");
      stmt->expressions.push_back(expressions_.parse_expression());
    }
    return stmt;
  }

  StmtPtr parse_break() { return parse_word(Kind::kBreak); }
  StmtPtr parse_continue() { return parse_word(Kind::kContinue); }
  StmtPtr parse_word(Kind kind) {
    StmtPtr stmt = make(kind);
    stream_.next();
    return stmt;
  }

  TokenStream stream_;
  ExpressionParser expressions_;
  std::vector<std::string> blocks_;
  int depth_ = 0;
};

}  // namespace

Program parse_program(std::string_view source) {
  if (source.size() > kMaxSourceBytes)
    throw TemplateError{fmt::format("the template has {} bytes, expected at most {}", source.size(),
                                    kMaxSourceBytes)};
  return Parser(source).run();
}

}  // namespace ridgeline::jinja
