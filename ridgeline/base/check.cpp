#include "ridgeline/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace ridgeline {

void check_failed(const char* condition, const char* file, int line) noexcept {
  std::fprintf(stderr, "ridgeline: internal error at %s:%d: %s does not hold\n", file, line,
               condition);
  std::abort();
}

}  // namespace ridgeline
