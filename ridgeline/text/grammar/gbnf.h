#pragma once

#include <memory>
#include <string_view>

#include "ridgeline/text/grammar/program.h"

namespace ridgeline::grammar {

std::unique_ptr<Program> parse_gbnf(std::string_view text, Budget& budget);

/// Drops productions that derive nothing, and refuses rules that call themselves before
/// anything is read, and programs that derive nothing.
void finish_program(Program& program);

}  // namespace ridgeline::grammar
