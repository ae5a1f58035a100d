#include "ridgeline/model/model_file.h"

#include "ridgeline/model/vocabulary.h"

namespace ridgeline {

Result<ModelFile> ModelFile::open(const std::string& path) {
  RIDGELINE_TRY(GgufFile gguf, GgufFile::open(path));
  return ModelFile(std::move(gguf));
}

Result<std::unique_ptr<Tokenizer>> ModelFile::tokenizer() const { return load_tokenizer(gguf_); }

}  // namespace ridgeline
