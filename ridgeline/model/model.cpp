#include "ridgeline/model/model.h"

#include "ridgeline/base/check.h"
#include "ridgeline/model/llama.h"
#include "ridgeline/model/qwen3.h"

namespace ridgeline {
namespace {

std::unique_ptr<Decoder> make_decoder(ModelConfig config, Backend& backend) {
  if (config.architecture == "qwen3" || config.architecture == "qwen3moe")
    return std::make_unique<Qwen3>(std::move(config), backend);
  return std::make_unique<Llama>(std::move(config), backend);
}

}  // namespace

Result<std::unique_ptr<Model>> Model::load(const ModelFile& file, Backend& backend,
                                           const LoadOptions& options) {
  RIDGELINE_CHECK(options.max_batch_rows > 0 && options.max_logit_rows > 0);
  RIDGELINE_TRY(ModelConfig config, file.config());
  std::unique_ptr<Decoder> model = make_decoder(std::move(config), backend);
  RIDGELINE_TRY_STATUS(model->load(file.checkpoint(), options));
  return model;
}

}  // namespace ridgeline
