#pragma once

#include <initializer_list>
#include <string_view>

#include "ridgeline/text/jinja/ast.h"
#include "ridgeline/text/jinja/token_stream.h"

namespace ridgeline::jinja {

/// Jinja's expressions, by recursive descent; each method is one level of precedence.
class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& stream) : stream_(stream) {}

  ExprPtr parse_expression(bool with_conditional = true);

  struct TupleOptions {
    bool simplified = false;  ///< names and literals only: targets
    bool with_conditional = true;
    bool with_namespace = false;  ///< name.attribute is a target too
    bool in_parentheses = false;  ///< an empty tuple is one
    std::string_view end_name;    ///< a name that ends the tuple
  };
  /// One expression, or several with commas between, which make a tuple.
  ExprPtr parse_tuple(const TupleOptions& options);
  /// What a value is assigned to.
  ExprPtr parse_target(std::string_view end_name, bool with_namespace);
  ExprPtr parse_name_target();
  /// A chain of filters on `value` (null: on a block's text).
  ExprPtr parse_filters(ExprPtr value, bool first_without_pipe = false);

  /// Throws where a node would be nested too deep.
  int depth_over(int inner_depth) const;
  ExprPtr finish(ExprPtr expr) const;  ///< sets its depth

 private:
  ExprPtr parse_or();
  ExprPtr parse_and();
  ExprPtr parse_not();
  ExprPtr parse_compare();
  ExprPtr parse_sum();
  ExprPtr parse_concat();
  ExprPtr parse_product();
  ExprPtr parse_power();
  ExprPtr parse_unary(bool with_filters = true);
  ExprPtr parse_primary(bool with_namespace = false);
  ExprPtr parse_name(bool with_namespace);
  ExprPtr parse_list();
  ExprPtr parse_dict();
  ExprPtr parse_postfix(ExprPtr expr);
  ExprPtr parse_filters_and_tests(ExprPtr expr);
  ExprPtr parse_subscript(ExprPtr expr);
  ExprPtr parse_subscript_item(ExprPtr expr);
  ExprPtr parse_call(ExprPtr expr);
  ExprPtr parse_test(ExprPtr expr);
  CallArguments parse_arguments();
  void parse_dotted_rest(std::string& name);

  ExprPtr make(Expr::Kind kind, int line) const;
  ExprPtr make(Expr::Kind kind, int line, ExprPtr child) const;
  ExprPtr make(Expr::Kind kind, int line, ExprPtr a, ExprPtr b) const;

  TokenStream& stream_;
  int depth_ = 0;  ///< of the descent
};

}  // namespace ridgeline::jinja
