#pragma once

namespace ridgeline {
[[noreturn]] void check_failed(const char* condition, const char* file, int line) noexcept;
}

/// An invariant of our own code. Input never gets here: what a file or a request
/// may get wrong returns an Error. On in every build; keep it out of inner loops.
#define RIDGELINE_CHECK(condition) \
  ((condition) ? (void)0 : ::ridgeline::check_failed(#condition, __FILE__, __LINE__))
