#include "ridgeline/text/jinja/expression_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "ridgeline/text/jinja/runtime.h"

namespace ridgeline::jinja {

using Kind = Expr::Kind;
using Type = Token::Type;

ExprPtr ExpressionParser::make(Kind kind, int line) const {
  auto expr = std::make_unique<Expr>();
  expr->kind = kind;
  expr->line = line;
  return expr;
}

ExprPtr ExpressionParser::make(Kind kind, int line, ExprPtr child) const {
  ExprPtr expr = make(kind, line);
  expr->children.push_back(std::move(child));
  return finish(std::move(expr));
}

ExprPtr ExpressionParser::make(Kind kind, int line, ExprPtr a, ExprPtr b) const {
  ExprPtr expr = make(kind, line);
  expr->children.push_back(std::move(a));
  expr->children.push_back(std::move(b));
  return finish(std::move(expr));
}

int ExpressionParser::depth_over(int inner_depth) const {
  if (inner_depth >= kMaxNesting)
    stream_.fail(fmt::format("the template nests deeper than {} levels", kMaxNesting));
  return inner_depth + 1;
}

ExprPtr ExpressionParser::finish(ExprPtr expr) const {
  int inner = 0;
  const auto look = [&inner](const ExprPtr& child) {
    if (child != nullptr) inner = std::max(inner, child->depth);
  };
  std::ranges::for_each(expr->children, look);
  std::ranges::for_each(expr->arguments.positional, look);
  for (const Keyword& keyword : expr->arguments.keyword) look(keyword.value);
  look(expr->arguments.dyn_positional);
  look(expr->arguments.dyn_keyword);
  expr->depth = depth_over(inner);
  return expr;
}

ExprPtr ExpressionParser::parse_expression(bool with_conditional) {
  if (!with_conditional) return parse_or();
  int line = stream_.line();
  ExprPtr value = parse_or();
  while (stream_.skip_name("if")) {
    ExprPtr expr = make(Kind::kConditional, line);
    expr->children.push_back(std::move(value));
    expr->children.push_back(parse_or());
    if (stream_.skip_name("else")) {
      const Depth level(depth_, kMaxNesting);
      expr->children.push_back(parse_expression());
    } else {
      expr->children.push_back(nullptr);
    }
    value = finish(std::move(expr));
    line = stream_.line();
  }
  return value;
}

ExprPtr ExpressionParser::parse_or() {
  ExprPtr left = parse_and();
  for (int line = stream_.line(); stream_.skip_name("or"); line = stream_.line())
    left = make(Kind::kOr, line, std::move(left), parse_and());
  return left;
}

ExprPtr ExpressionParser::parse_and() {
  ExprPtr left = parse_not();
  for (int line = stream_.line(); stream_.skip_name("and"); line = stream_.line())
    left = make(Kind::kAnd, line, std::move(left), parse_not());
  return left;
}

ExprPtr ExpressionParser::parse_not() {
  const int line = stream_.line();
  if (!stream_.skip_name("not")) return parse_compare();
  const Depth level(depth_, kMaxNesting);
  return make(Kind::kNot, line, parse_not());
}

ExprPtr ExpressionParser::parse_compare() {
  const auto skip_op = [this]() -> std::optional<CompareOp> {
    constexpr std::pair<std::string_view, CompareOp> kOps[] = {
        {"==", CompareOp::kEq}, {"!=", CompareOp::kNe}, {"<", CompareOp::kLt},
        {"<=", CompareOp::kLe}, {">", CompareOp::kGt},  {">=", CompareOp::kGe}};
    for (const auto& [text, op] : kOps)
      if (stream_.skip_operator(text)) return op;
    if (stream_.skip_name("in")) return CompareOp::kIn;
    if (stream_.is_name("not") && stream_.look().type == Type::kName &&
        stream_.look().text == "in") {
      stream_.next();
      stream_.next();
      return CompareOp::kNotIn;
    }
    return std::nullopt;
  };
  const int line = stream_.line();
  ExprPtr first = parse_sum();
  std::optional<CompareOp> op = skip_op();
  if (!op) return first;
  ExprPtr expr = make(Kind::kCompare, line);
  expr->children.push_back(std::move(first));
  for (; op; op = skip_op()) {
    expr->compare_ops.push_back(*op);
    expr->children.push_back(parse_sum());
  }
  return finish(std::move(expr));
}

ExprPtr ExpressionParser::parse_sum() {
  ExprPtr left = parse_concat();
  for (;;) {
    const int line = stream_.line();
    const bool add = stream_.skip_operator("+");
    if (!add && !stream_.skip_operator("-")) return left;
    left = make(Kind::kBinary, line, std::move(left), parse_concat());
    left->binary_op = add ? BinaryOp::kAdd : BinaryOp::kSub;
  }
}

ExprPtr ExpressionParser::parse_concat() {
  const int line = stream_.line();
  ExprPtr first = parse_product();
  if (!stream_.is_operator("~")) return first;
  ExprPtr expr = make(Kind::kConcat, line);
  expr->children.push_back(std::move(first));
  while (stream_.skip_operator("~")) expr->children.push_back(parse_product());
  return finish(std::move(expr));
}

ExprPtr ExpressionParser::parse_product() {
  constexpr std::pair<std::string_view, BinaryOp> kOps[] = {{"*", BinaryOp::kMul},
                                                            {"/", BinaryOp::kDiv},
                                                            {"//", BinaryOp::kFloorDiv},
                                                            {"%", BinaryOp::kMod}};
  ExprPtr left = parse_power();
  for (;;) {
    const int line = stream_.line();
    const auto* op = std::ranges::find_if(
        kOps, [this](const auto& o) { return stream_.skip_operator(o.first); });
    if (op == std::end(kOps)) return left;
    left = make(Kind::kBinary, line, std::move(left), parse_power());
    left->binary_op = op->second;
  }
}

ExprPtr ExpressionParser::parse_power() {
  ExprPtr left = parse_unary();
  for (int line = stream_.line(); stream_.skip_operator("**"); line = stream_.line()) {
    left = make(Kind::kBinary, line, std::move(left), parse_unary());
    left->binary_op = BinaryOp::kPow;
  }
  return left;
}

ExprPtr ExpressionParser::parse_unary(bool with_filters) {
  const Depth level(depth_, kMaxNesting);
  const int line = stream_.line();
  ExprPtr expr;
  if (stream_.skip_operator("-")) {
    expr = make(Kind::kNegate, line, parse_unary(false));
  } else if (stream_.skip_operator("+")) {
    expr = make(Kind::kPlus, line, parse_unary(false));
  } else {
    expr = parse_primary();
  }
  expr = parse_postfix(std::move(expr));
  return with_filters ? parse_filters_and_tests(std::move(expr)) : std::move(expr);
}

ExprPtr ExpressionParser::parse_name(bool with_namespace) {
  const int line = stream_.line();
  const std::string name = stream_.next().text;
  if (name == "true" || name == "True" || name == "false" || name == "False") {
    ExprPtr expr = make(Kind::kConst, line);
    expr->value = Value::boolean(name == "true" || name == "True");
    return expr;
  }
  if (name == "none" || name == "None") return make(Kind::kConst, line);
  ExprPtr expr = make(Kind::kName, line);
  expr->name = name;
  if (with_namespace && stream_.skip_operator(".")) {
    expr->kind = Kind::kNamespaceRef;
    expr->attribute = stream_.expect_any_name();
  }
  return expr;
}

ExprPtr ExpressionParser::parse_primary(bool with_namespace) {
  const int line = stream_.line();
  switch (stream_.current().type) {
    case Type::kName:
      return parse_name(with_namespace);
    case Type::kString: {
      std::string text;
      while (stream_.is(Type::kString)) text += stream_.next().text;
      ExprPtr expr = make(Kind::kConst, line);
      expr->value = make_string(std::move(text));
      return expr;
    }
    case Type::kInteger:
    case Type::kFloat: {
      ExprPtr expr = make(Kind::kConst, line);
      expr->value = stream_.next().value;
      return expr;
    }
    default:
      break;
  }
  if (stream_.skip_operator("(")) {
    TupleOptions options;
    options.in_parentheses = true;
    ExprPtr expr = parse_tuple(options);
    stream_.expect_operator(")");
    return expr;
  }
  if (stream_.is_operator("[")) return parse_list();
  if (stream_.is_operator("{")) return parse_dict();
  stream_.fail(fmt::format("unexpected {}", describe(stream_.current())));
}

ExprPtr ExpressionParser::parse_list() {
  ExprPtr expr = make(Kind::kList, stream_.line());
  stream_.next();
  while (!stream_.is_operator("]")) {
    if (!expr->children.empty()) stream_.expect_operator(",");
    if (stream_.is_operator("]")) break;
    expr->children.push_back(parse_expression());
  }
  stream_.expect_operator("]");
  return finish(std::move(expr));
}

ExprPtr ExpressionParser::parse_dict() {
  ExprPtr expr = make(Kind::kDict, stream_.line());
  stream_.next();
  while (!stream_.is_operator("}")) {
    if (!expr->children.empty()) stream_.expect_operator(",");
    if (stream_.is_operator("}")) break;
    expr->children.push_back(parse_expression());
    stream_.expect_operator(":");
    expr->children.push_back(parse_expression());
  }
  stream_.expect_operator("}");
  return finish(std::move(expr));
}

ExprPtr ExpressionParser::parse_tuple(const TupleOptions& options) {
  const int line = stream_.line();
  const auto at_end = [&] {
    return stream_.is(Type::kVariableEnd) || stream_.is(Type::kBlockEnd) ||
           stream_.is_operator(")") ||
           (!options.end_name.empty() && stream_.is_name(options.end_name));
  };
  std::vector<ExprPtr> items;
  bool is_tuple = false;
  for (;;) {
    if (!items.empty()) stream_.expect_operator(",");
    if (at_end()) break;
    items.push_back(options.simplified ? parse_primary(options.with_namespace)
                                       : parse_expression(options.with_conditional));
    if (!stream_.is_operator(",")) break;
    is_tuple = true;
  }
  if (!is_tuple) {
    if (!items.empty()) return std::move(items[0]);
    if (!options.in_parentheses) stream_.unexpected("an expression");
  }
  ExprPtr expr = make(Kind::kTuple, line);
  expr->children = std::move(items);
  return finish(std::move(expr));
}

namespace {

/// Marks names as stored to; false if something else is among them.
bool make_target(Expr& expr) {
  if (expr.kind == Kind::kNamespaceRef) return true;
  if (expr.kind == Kind::kName) {
    expr.use = Expr::Use::kStore;
    return true;
  }
  return expr.kind == Kind::kTuple &&
         std::ranges::all_of(expr.children, [](const ExprPtr& e) { return make_target(*e); });
}

}  // namespace

ExprPtr ExpressionParser::parse_target(std::string_view end_name, bool with_namespace) {
  TupleOptions options;
  options.simplified = true;
  options.with_namespace = with_namespace;
  options.end_name = end_name;
  ExprPtr target = parse_tuple(options);
  if (!make_target(*target)) stream_.fail("a value can only be assigned to names");
  return target;
}

ExprPtr ExpressionParser::parse_name_target() {
  ExprPtr target = make(Kind::kName, stream_.line());
  target->name = stream_.expect_any_name();
  target->use = Expr::Use::kStore;
  return target;
}

ExprPtr ExpressionParser::parse_postfix(ExprPtr expr) {
  for (;;) {
    if (stream_.is_operator(".") || stream_.is_operator("[")) {
      expr = parse_subscript(std::move(expr));
    } else if (stream_.is_operator("(")) {
      expr = parse_call(std::move(expr));
    } else {
      return expr;
    }
  }
}

ExprPtr ExpressionParser::parse_filters_and_tests(ExprPtr expr) {
  for (;;) {
    if (stream_.is_operator("|")) {
      expr = parse_filters(std::move(expr));
    } else if (stream_.is_name("is")) {
      expr = parse_test(std::move(expr));
    } else if (stream_.is_operator("(")) {
      expr = parse_call(std::move(expr));
    } else {
      return expr;
    }
  }
}

ExprPtr ExpressionParser::parse_subscript(ExprPtr object) {
  const int line = stream_.line();
  if (!stream_.skip_operator(".")) return parse_subscript_item(std::move(object));
  if (stream_.is(Type::kName)) {
    const std::string name = stream_.next().text;
    ExprPtr expr = make(Kind::kAttribute, line, std::move(object));
    expr->name = name;
    expr->value = make_string(name);
    return expr;
  }
  if (!stream_.is(Type::kInteger)) stream_.fail("expected name or number");
  ExprPtr index = make(Kind::kConst, line);
  index->value = stream_.next().value;
  return make(Kind::kItem, line, std::move(object), std::move(index));
}

ExprPtr ExpressionParser::parse_subscript_item(ExprPtr object) {
  const int line = stream_.line();
  stream_.expect_operator("[");
  ExprPtr parts[3];
  bool is_slice = false;
  if (!stream_.is_operator(":")) parts[0] = parse_expression();
  for (int i = 1; i < 3 && stream_.skip_operator(":"); ++i) {
    is_slice = true;
    if (!stream_.is_operator("]") && !stream_.is_operator(":") && !stream_.is_operator(","))
      parts[i] = parse_expression();
  }
  if (stream_.is_operator(",")) {
    // A tuple of indices: only dicts with tuples for keys know one.
    if (is_slice) stream_.fail("several slices in one subscript are not supported");
    ExprPtr tuple = make(Kind::kTuple, line, std::move(parts[0]));
    while (stream_.skip_operator(",")) tuple->children.push_back(parse_expression());
    parts[0] = finish(std::move(tuple));
  }
  stream_.expect_operator("]");
  if (!is_slice) return make(Kind::kItem, line, std::move(object), std::move(parts[0]));
  ExprPtr expr = make(Kind::kSlice, line);
  expr->children.push_back(std::move(object));
  for (ExprPtr& part : parts) expr->children.push_back(std::move(part));
  return finish(std::move(expr));
}

CallArguments ExpressionParser::parse_arguments() {
  CallArguments a;
  stream_.expect_operator("(");
  bool first = true;
  const auto ensure = [this](bool allowed) {
    if (!allowed) stream_.fail("invalid syntax for function call expression");
  };
  while (!stream_.is_operator(")")) {
    if (!first) {
      stream_.expect_operator(",");
      if (stream_.is_operator(")")) break;
    }
    first = false;
    if (stream_.skip_operator("*")) {
      ensure(a.dyn_positional == nullptr && a.dyn_keyword == nullptr);
      a.dyn_positional = parse_expression();
    } else if (stream_.skip_operator("**")) {
      ensure(a.dyn_keyword == nullptr);
      a.dyn_keyword = parse_expression();
    } else if (stream_.is(Type::kName) && stream_.look().type == Type::kOperator &&
               stream_.look().text == "=") {
      ensure(a.dyn_keyword == nullptr);
      std::string name = stream_.next().text;
      stream_.next();
      if (std::ranges::find(a.keyword, name, &Keyword::name) != a.keyword.end())
        stream_.fail(fmt::format("the keyword argument '{}' is repeated", name));
      a.keyword.push_back({std::move(name), parse_expression()});
    } else {
      ensure(a.dyn_positional == nullptr && a.dyn_keyword == nullptr && a.keyword.empty());
      a.positional.push_back(parse_expression());
    }
  }
  stream_.expect_operator(")");
  return a;
}

ExprPtr ExpressionParser::parse_call(ExprPtr callee) {
  ExprPtr expr = make(Kind::kCall, stream_.line(), std::move(callee));
  expr->arguments = parse_arguments();
  return finish(std::move(expr));
}

void ExpressionParser::parse_dotted_rest(std::string& name) {
  while (stream_.skip_operator(".")) {
    name += '.';
    name += stream_.expect_any_name();
  }
}

ExprPtr ExpressionParser::parse_filters(ExprPtr value, bool first_without_pipe) {
  while (first_without_pipe || stream_.skip_operator("|")) {
    first_without_pipe = false;
    ExprPtr expr = make(Kind::kFilter, stream_.line());
    expr->name = stream_.expect_any_name();
    parse_dotted_rest(expr->name);
    expr->children.push_back(std::move(value));
    if (stream_.is_operator("(")) expr->arguments = parse_arguments();
    value = finish(std::move(expr));
  }
  return value;
}

ExprPtr ExpressionParser::parse_test(ExprPtr value) {
  const int line = stream_.line();
  stream_.expect_name("is");
  const bool negated = stream_.skip_name("not");
  ExprPtr expr = make(Kind::kTest, line, std::move(value));
  expr->name = stream_.expect_any_name();
  parse_dotted_rest(expr->name);
  const auto starts_value = [this] {
    switch (stream_.current().type) {
      case Type::kString:
      case Type::kInteger:
      case Type::kFloat:
        return true;
      case Type::kName:
        return !stream_.is_name("else") && !stream_.is_name("or") && !stream_.is_name("and");
      default:
        return stream_.is_operator("[") || stream_.is_operator("{");
    }
  };
  if (stream_.is_operator("(")) {
    expr->arguments = parse_arguments();
  } else if (starts_value()) {
    if (stream_.is_name("is")) stream_.fail("You cannot chain multiple tests with is");
    expr->arguments.positional.push_back(parse_postfix(parse_primary()));
  }
  expr = finish(std::move(expr));
  return negated ? make(Kind::kNot, line, std::move(expr)) : std::move(expr);
}

}  // namespace ridgeline::jinja
