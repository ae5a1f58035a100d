#include "ridgeline/text/jinja/template.h"

#include <algorithm>
#include <chrono>
#include <ctime>

#include "ridgeline/text/jinja/interpreter.h"
#include "ridgeline/text/jinja/parser.h"
#include "ridgeline/text/jinja/resolver.h"

namespace ridgeline::jinja {
namespace {

tl::unexpected<Error> fail_at(const std::string& name, int line, const std::string& message) {
  const std::string where = line > 0 ? ", line " + std::to_string(line) : "";
  return fail(name + where + ": " + message);
}

bool scope_uses(const ScopeLayout& scope, std::string_view variable) {
  return std::ranges::any_of(scope.loads, [variable](const ScopeLoad& load) {
    return load.kind == ScopeLoad::Kind::kResolve && load.name == variable;
  });
}

bool body_uses(const Body& body, std::string_view variable) {
  return std::ranges::any_of(body, [variable](const StmtPtr& stmt) {
    for (const ScopeLayout* scope : {&stmt->scope, &stmt->test_scope, &stmt->else_scope})
      if (scope_uses(*scope, variable)) return true;
    for (const Body& inner : stmt->bodies)
      if (body_uses(inner, variable)) return true;
    return body_uses(stmt->else_body, variable);
  });
}

}  // namespace

Result<Template> Template::parse(std::string_view source, std::string name) {
  try {
    auto program = std::make_shared<Program>(parse_program(source));
    resolve_names(*program);
    return Template(std::move(program), std::move(name));
  } catch (const TemplateError& e) {
    return fail_at(name, e.line, e.message);
  }
}

Result<std::string> Template::render(const Value& variables, const Limits& limits,
                                     const Clock& clock) const {
  Runtime runtime(limits, clock);
  int line = 0;
  try {
    Interpreter interpreter(*program_, runtime, variables.dict());
    try {
      return interpreter.run();
    } catch (const TemplateError&) {
      line = interpreter.line();
      throw;
    }
  } catch (const TemplateError& e) {
    return fail_at(name_, e.line > 0 ? e.line : line, e.message);
  }
}

bool Template::uses(std::string_view variable) const {
  return body_uses(program_->body, variable) || scope_uses(program_->scope, variable);
}

LocalTime Template::local_time() {
  using std::chrono::system_clock;
  const auto now = system_clock::now();
  const std::time_t seconds = system_clock::to_time_t(now);
  LocalTime local;
  localtime_r(&seconds, &local.time);
  const auto since = std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch());
  local.microseconds = static_cast<int>(since.count() % 1'000'000);
  return local;
}

}  // namespace ridgeline::jinja
