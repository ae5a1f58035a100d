#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ridgeline/text/jinja/operators.h"
#include "ridgeline/text/jinja/value.h"

namespace ridgeline::jinja {

/// Where a variable lives: `hops` scopes out, in that slot.
struct SlotRef {
  int hops = 0;
  int slot = -1;
};

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct Keyword {
  std::string name;
  ExprPtr value;
};

/// The arguments of calls, filters and tests.
struct CallArguments {
  std::vector<ExprPtr> positional;
  std::vector<Keyword> keyword;
  ExprPtr dyn_positional;  ///< *args
  ExprPtr dyn_keyword;     ///< **kwargs
};

struct Expr {
  enum class Kind : std::uint8_t {
    kConst,         ///< value
    kName,          ///< name; slot once resolved
    kNamespaceRef,  ///< name.attribute as a target of set
    kTuple,
    kList,
    kDict,  ///< children: key, value, key, value...
    kNegate,
    kPlus,
    kNot,
    kAnd,
    kOr,
    kBinary,       ///< binary_op of two children
    kConcat,       ///< ~
    kCompare,      ///< children[0] compare_ops[0] children[1] compare_ops[1] ...
    kConditional,  ///< value, test, otherwise (null: none)
    kAttribute,    ///< children[0].name
    kItem,         ///< children[0][children[1]]
    kSlice,        ///< children[0][start:stop:step], each may be null
    kCall,         ///< children[0](arguments)
    kFilter,       ///< children[0] (null: the body of a filter block) | name(arguments)
    kTest,         ///< children[0] is name(arguments)
  };
  enum class Use : std::uint8_t { kLoad, kStore, kParameter };

  Kind kind;
  int line;
  int depth = 1;
  Use use = Use::kLoad;  ///< of a name
  Value value;
  std::string name;
  std::string attribute;  ///< of kNamespaceRef
  SlotRef slot;
  BinaryOp binary_op{};
  std::vector<CompareOp> compare_ops;
  std::vector<ExprPtr> children;
  CallArguments arguments;
};

struct Stmt;
using StmtPtr = std::unique_ptr<Stmt>;
using Body = std::vector<StmtPtr>;

/// What a scope's variables hold when it is entered.
struct ScopeLoad {
  enum class Kind : std::uint8_t {
    kResolve,  ///< the rendering's variable of that name
    kAlias,    ///< the outer scope's value
    kMissing,
  };
  Kind kind;
  int slot;
  std::string name;
  SlotRef outer;  ///< counted from the parent scope
};

struct ScopeLayout {
  std::vector<std::string> names;  ///< of the slots
  std::vector<ScopeLoad> loads;
  /// A macro, or a recursive loop, may refer to the scope after it was left.
  bool captured = false;
};

/// Macros, and the bodies of call and generation blocks.
struct MacroSignature {
  std::string name;  ///< "" of a call block
  std::vector<std::string> parameters;
  std::vector<int> parameter_slots;
  std::vector<ExprPtr> defaults;  ///< of the last parameters
  int caller_slot = -1, kwargs_slot = -1, varargs_slot = -1;
};

struct Stmt {
  enum class Kind : std::uint8_t {
    kText,      ///< text
    kOutput,    ///< expressions
    kIf,        ///< branches: pairs of expressions[i] and bodies[i]; else_body
    kFor,       ///< target in iterable if test; recursive; body, else_body
    kSet,       ///< target = expressions[0]
    kSetBlock,  ///< target = body through expressions[0] (a filter, may be absent)
    kMacro,
    kCallBlock,  ///< expressions[0] is the call
    kGeneration,
    kFilterBlock,  ///< expressions[0] is the filter
    kWith,         ///< targets[i] = expressions[i]
    kBlock,
    kBreak,
    kContinue,
  };

  Kind kind;
  int line;
  int depth = 1;
  std::string text;  ///< of kText; the name of a block
  std::vector<ExprPtr> expressions;
  std::vector<ExprPtr> targets;
  std::vector<Body> bodies;
  Body else_body;
  bool has_else = false;
  ExprPtr iterable, test;
  bool recursive = false;
  MacroSignature signature;

  // The resolver's.
  ScopeLayout scope, test_scope, else_scope;
  SlotRef macro_slot;
  int loop_slot = -1;
  std::vector<ExprPtr> test_targets;  ///< the target once more, for the test's scope
};

/// A parsed template.
struct Program {
  Body body;
  ScopeLayout scope;
};

}  // namespace ridgeline::jinja
