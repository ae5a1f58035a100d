#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/text/tokenizer.h"
#include "ridgeline/tools/ptq/importance_matrix.h"
#include "ridgeline/tools/ptq/layerwise_pass.h"

namespace ridgeline::ptq {

/// A text for a model to read while it is looked at.
struct Calibration {
  ModelConfig config;
  BackendOptions backend;
  std::vector<std::vector<TokenId>> windows;
  /// Windows of the same text that are not among those, for measuring; may be few or none.
  std::vector<std::vector<TokenId>> unused;
};
struct CalibrationOptions {
  std::string text;               ///< path
  std::int64_t context = 512;     ///< tokens of a window
  std::int64_t tokens = 1 << 15;  ///< of all windows; 0: the whole text
  int threads = 0;
};
/// `model`: path of a file or folder. Errors: those of opening it and its vocabulary; a text that
/// cannot be read or is less than one window.
Result<Calibration> read_calibration(const std::string& model, const CalibrationOptions& options);

/// Takes a pass that was just started through all layers of the unquantized model, and adds up
/// the squares of every matrix's inputs, the head's among them.
Result<ImportanceMatrix> measure_importance(const Checkpoint& model, LayerwisePass& pass);

}  // namespace ridgeline::ptq
