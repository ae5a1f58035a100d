#include "ridgeline/model/model_file.h"

#include "ridgeline/format/gguf.h"
#include "ridgeline/model/vocabulary.h"

namespace ridgeline {

Result<ModelFile> ModelFile::open(const std::string& path) {
  RIDGELINE_TRY(Checkpoint checkpoint, open_gguf(path));
  return ModelFile(std::move(checkpoint));
}

Result<std::unique_ptr<Tokenizer>> ModelFile::tokenizer() const {
  return load_tokenizer(checkpoint_);
}

}  // namespace ridgeline
