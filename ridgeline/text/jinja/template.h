#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "ridgeline/base/result.h"
#include "ridgeline/text/jinja/limits.h"
#include "ridgeline/text/jinja/runtime.h"
#include "ridgeline/text/jinja/value.h"

namespace ridgeline::jinja {

struct Program;

/// A Jinja template, parsed: what Python's Jinja2 3.1 renders when it is set up as
/// transformers does it, for chat templates (an immutable sandbox, trim_blocks,
/// lstrip_blocks, break and continue, {% generation %}). Rendering changes nothing,
/// so threads may share one.
class Template {
 public:
  /// `name` stands for the template in errors, which tell the line.
  static Result<Template> parse(std::string_view source, std::string name);

  /// `variables`: a dict with names for keys.
  Result<std::string> render(const Value& variables, const Limits& limits = {},
                             const Clock& clock = local_time) const;

  /// The template reads a variable of this name that it did not set before.
  bool uses(std::string_view variable) const;

  static LocalTime local_time();

 private:
  Template(std::shared_ptr<const Program> program, std::string name)
      : program_(std::move(program)), name_(std::move(name)) {}

  std::shared_ptr<const Program> program_;
  std::string name_;
};

}  // namespace ridgeline::jinja
