#include "ridgeline/tools/ptq/calibrate.h"

#include <algorithm>

#include "ridgeline/model/pack_plan.h"
#include "ridgeline/tools/eval.h"
#include "ridgeline/tools/ptq/importance_observer.h"

namespace ridgeline::ptq {

Result<std::vector<std::vector<TokenId>>> calibration_windows(const Tokenizer& tokenizer,
                                                              std::string_view text,
                                                              std::int64_t context,
                                                              std::int64_t most_tokens) {
  RIDGELINE_TRY(std::vector<EvalWindow> all, text_windows(tokenizer, text, context));
  const auto count = static_cast<std::int64_t>(all.size());
  const std::int64_t wanted =
      most_tokens > 0 ? std::clamp<std::int64_t>(most_tokens / context, 1, count) : count;
  std::vector<std::vector<TokenId>> windows;
  for (std::int64_t i = 0; i < wanted; ++i)
    windows.push_back(std::move(all[static_cast<std::size_t>(i * count / wanted)].tokens));
  return windows;
}

Result<ImportanceMatrix> measure_importance(const Checkpoint& model, LayerwisePass& pass) {
  ImportanceMatrix matrix;
  ImportanceObserver observer(matrix);
  for (const TensorView& t : model.tensors())
    if (layer_of(t.name) >= 0 && matrices_in(t) > 0)
      observer.expect(t.name, t.shape.size() > 2 ? t.shape.front() : 1, t.cols());
  for (int layer = 0; layer < pass.config().layers; ++layer)
    RIDGELINE_TRY_STATUS(pass.run(layer, {}, &observer, LayerwisePass::Output::kKeep));

  const char* const head =
      model.tensor("output.weight") != nullptr ? "output.weight" : "token_embd.weight";
  if (!pass.config().is_encoder) {
    observer.expect(head, 1, pass.config().hidden_size);
    const auto add = [&](Matrix rows) -> Status {
      observer.add(rows, head, 0);
      return {};
    };
    RIDGELINE_TRY_STATUS(pass.finish(add));
  }
  // What no product read, as an embedding.
  std::erase_if(matrix.entries(), [](const auto& entry) {
    return std::ranges::all_of(entry.second.counts, [](double rows) { return rows == 0; });
  });
  return matrix;
}

}  // namespace ridgeline::ptq
