#include "ridgeline/tools/ptq/calibrate.h"

#include <fmt/format.h>

#include <algorithm>

#include "ridgeline/model/pack_plan.h"
#include "ridgeline/tools/eval_windows.h"
#include "ridgeline/tools/load/text_file.h"
#include "ridgeline/tools/ptq/importance_observer.h"
#include "ridgeline/tools/ptq/type_mixture.h"

namespace ridgeline::ptq {

Result<Calibration> read_calibration(const std::string& model, const CalibrationOptions& options) {
  RIDGELINE_TRY(const ModelFile file, ModelFile::open(model));
  Calibration calibration;
  RIDGELINE_TRY(calibration.config, file.config());
  RIDGELINE_TRY(const std::unique_ptr<Tokenizer> tokenizer, file.tokenizer());
  RIDGELINE_TRY(const std::string text, load::read_text_file(options.text));
  auto all = text_windows(*tokenizer, text, options.context);
  if (!all) return fail(fmt::format("{}: {}", options.text, all.error().message));
  calibration.backend.threads = options.threads;

  // In even steps over the text.
  const auto count = static_cast<std::int64_t>(all->size());
  const std::int64_t wanted =
      options.tokens > 0 ? std::clamp<std::int64_t>(options.tokens / options.context, 1, count)
                         : count;
  for (std::int64_t i = 0, used = 0; i < count; ++i) {
    const bool is_used = used < wanted && i >= used * count / wanted;
    used += is_used ? 1 : 0;
    (is_used ? calibration.windows : calibration.unused)
        .push_back(std::move((*all)[static_cast<std::size_t>(i)].tokens));
  }
  return calibration;
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
