#pragma once

#include <cstdint>
#include <string>

#include "ridgeline/base/result.h"
#include "ridgeline/tools/load/seeded_random.h"

namespace ridgeline::load {

/// How long the prompts, or the outputs, of synthetic requests are.
class TokenLengths {
 public:
  /// "100": all of them; "100,20": mean and standard deviation of a normal distribution, at
  /// least 1; "50-150": any from one to the other alike. `option` is named in errors.
  static Result<TokenLengths> parse(const std::string& text, const char* option);

  std::int64_t draw(SeededRandom& random) const;

 private:
  enum class Kind { kConstant, kNormal, kUniform };
  Kind kind_ = Kind::kConstant;
  std::int64_t first_ = 1, second_ = 0;
};

}  // namespace ridgeline::load
