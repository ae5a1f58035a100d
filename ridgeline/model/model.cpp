#include "ridgeline/model/model.h"

#include "ridgeline/base/check.h"
#include "ridgeline/model/bert.h"
#include "ridgeline/model/deepseek2.h"
#include "ridgeline/model/gemma.h"
#include "ridgeline/model/gemma2.h"
#include "ridgeline/model/gpt2.h"
#include "ridgeline/model/gpt_oss.h"
#include "ridgeline/model/granite.h"
#include "ridgeline/model/llama.h"
#include "ridgeline/model/olmo2.h"
#include "ridgeline/model/phi2.h"
#include "ridgeline/model/qwen3.h"

namespace ridgeline {
namespace {

std::unique_ptr<Decoder> make_decoder(ModelConfig config, Backend& backend) {
  const std::string_view name = config.architecture;
  if (name == "qwen3" || name == "qwen3moe")
    return std::make_unique<Qwen3>(std::move(config), backend);
  if (name == "deepseek2") return std::make_unique<Deepseek2>(std::move(config), backend);
  if (name == "gpt-oss") return std::make_unique<GptOss>(std::move(config), backend);
  if (name == "olmo2") return std::make_unique<Olmo2>(std::move(config), backend);
  if (name == "granite") return std::make_unique<Granite>(std::move(config), backend);
  if (name == "gpt2" || name == "starcoder2")
    return std::make_unique<Gpt2>(std::move(config), backend);
  if (name == "phi2") return std::make_unique<Phi2>(std::move(config), backend);
  if (name == "gemma") return std::make_unique<Gemma>(std::move(config), backend);
  if (name == "gemma2" || name == "gemma3")
    return std::make_unique<Gemma2>(std::move(config), backend);
  if (name == "bert" || name == "nomic-bert")
    return std::make_unique<Bert>(std::move(config), backend);
  // llama (Mistral and Mixtral too), qwen2, qwen2moe, phi3
  return std::make_unique<Llama>(std::move(config), backend);
}

}  // namespace

Result<std::unique_ptr<Model>> Model::load(const ModelFile& file, Backend& backend,
                                           const LoadOptions& options) {
  RIDGELINE_TRY(ModelConfig config, file.config());
  return load(file.checkpoint(), std::move(config), backend, options);
}

Result<std::unique_ptr<Model>> Model::load(const Checkpoint& file, ModelConfig config,
                                           Backend& backend, const LoadOptions& options) {
  RIDGELINE_CHECK(options.max_batch_rows > 0 && options.max_logit_rows > 0);
  std::unique_ptr<Decoder> model = make_decoder(std::move(config), backend);
  RIDGELINE_TRY_STATUS(model->load(file, options));
  return model;
}

}  // namespace ridgeline
