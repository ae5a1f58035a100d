#include "ridgeline/model/model_file.h"

#include <filesystem>

#include "ridgeline/format/gguf.h"
#include "ridgeline/format/hugging_face.h"
#include "ridgeline/model/folder_tokenizer.h"
#include "ridgeline/model/load_chat_template.h"
#include "ridgeline/model/quantize_on_load.h"
#include "ridgeline/model/vocabulary.h"

namespace ridgeline {

Result<ModelFile> ModelFile::open(const std::string& path, const Options& options) {
  std::error_code error;
  const bool is_folder = std::filesystem::is_directory(path, error);
  RIDGELINE_TRY(Checkpoint checkpoint, is_folder ? open_hugging_face(path) : open_gguf(path));
  if (options.quantize) {
    RIDGELINE_TRY(checkpoint, quantize_on_load(std::move(checkpoint), *options.quantize));
  }
  RIDGELINE_TRY(checkpoint, override_rope(std::move(checkpoint), options.rope));
  return ModelFile(std::move(checkpoint), is_folder ? path : "");
}

Result<std::unique_ptr<Tokenizer>> ModelFile::tokenizer() const {
  return folder_.empty() ? load_tokenizer(checkpoint_) : load_folder_tokenizer(folder_);
}

Result<std::optional<std::string>> ModelFile::chat_template(std::string_view name) const {
  return read_chat_template(checkpoint_, folder_, name);
}

}  // namespace ridgeline
