#include "ridgeline/tools/inspect.h"

#include "ridgeline/model/model_file.h"

namespace ridgeline {
namespace {

const char* kind_name(VocabularyData::Kind kind) {
  switch (kind) {
    case VocabularyData::Kind::kSentencePieceBpe:
      return "SentencePiece BPE";
    case VocabularyData::Kind::kByteLevelBpe:
      return "byte-level BPE";
    case VocabularyData::Kind::kUnigram:
      return "unigram";
    case VocabularyData::Kind::kWordPiece:
      return "WordPiece";
    case VocabularyData::Kind::kPipeline:
      return "tokenizer.json";
  }
  return "";
}

}  // namespace

std::int64_t FileReport::kv_bytes(DType type, std::int64_t tokens) const {
  const DTypeInfo& t = info(type);
  return (config->kv_elements(tokens) * t.block_bytes + t.block_elements - 1) / t.block_elements;
}

Result<FileReport> inspect_file(const std::string& path, std::optional<DType> quantize) {
  RIDGELINE_TRY(const ModelFile model, ModelFile::open(path, {.quantize = quantize}));
  const Checkpoint& file = model.checkpoint();
  FileReport r;
  r.path = path;
  r.file_bytes = file.file_bytes();
  r.format = file.format();
  RIDGELINE_TRY(const auto architecture, file.string("general.architecture"));
  r.architecture = architecture.value_or("(none)");
  for (const TensorView& t : file.tensors()) {
    FileReport::TypeTotal& total = r.types[std::string(name(t.dtype))];
    ++total.tensors;
    total.elements += t.elements();
    // What a conversion makes of the file's bytes is what is loaded.
    const std::size_t bytes =
        t.convert ? static_cast<std::size_t>(t.rows()) * row_bytes(t.dtype, t.cols()) : t.bytes;
    total.bytes += bytes;
    r.parameters += t.elements();
    r.tensor_bytes += bytes;
    r.tensors.push_back(t);
    r.tensors.back().data = nullptr;
    r.tensors.back().bytes = bytes;
    r.tensors.back().convert = nullptr;
  }
  if (auto config = model.config())
    r.config = std::move(*config);
  else
    r.unsupported = config.error().message;
  RIDGELINE_TRY(const auto kind, file.string("tokenizer.ggml.model"));
  r.tokenizer = kind.value_or("(none)");
  RIDGELINE_TRY(const auto pre, file.string("tokenizer.ggml.pre"));
  r.pre_tokenizer = pre.value_or("");
  RIDGELINE_TRY(const auto tokens, file.strings("tokenizer.ggml.tokens"));
  if (tokens) r.vocab_tokens = tokens->size();
  if (!kind) {
    // A Hugging Face folder has its tokenizer beside the weights.
    if (const auto tokenizer = model.tokenizer()) {
      r.tokenizer = kind_name((*tokenizer)->data().kind);
      r.vocab_tokens = static_cast<std::size_t>((*tokenizer)->vocab_size());
    }
  }
  RIDGELINE_TRY(const auto chat_template, model.chat_template());
  r.chat_template = chat_template.has_value();
  return r;
}

}  // namespace ridgeline
