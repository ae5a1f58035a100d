#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/base/result.h"

namespace ridgeline {

/// tokenizer.json's "normalizer": what is done to a text before it is cut. Immutable.
class HfNormalizer {
 public:
  /// Errors: a type that is not supported (the sentence lists those that are), a field
  /// that cannot be used.
  static Result<HfNormalizer> create(const nlohmann::json& definition);

  /// `text` is valid UTF-8, and stays so.
  void apply(std::string& text) const {
    for (const Step& step : steps_) step(text);
  }
  bool empty() const { return steps_.empty(); }
  /// Whether what apply() makes of `text` begins with what is made of its first character,
  /// and not of a later one because that was left out.
  bool keeps_start(std::string_view text) const;

 private:
  using Step = std::function<void(std::string&)>;
  friend class HfNormalizerReader;

  std::vector<Step> steps_;  // sequences are flat
};

}  // namespace ridgeline
