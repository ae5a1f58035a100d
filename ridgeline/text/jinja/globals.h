#pragma once

#include "ridgeline/text/jinja/runtime.h"
#include "ridgeline/text/jinja/value.h"

namespace ridgeline::jinja {

/// range, dict, namespace, cycler and joiner of Jinja, and transformers' raise_exception
/// and strftime_now.
void add_globals(Runtime& runtime, DictObject& globals);

}  // namespace ridgeline::jinja
