#include "ridgeline/tools/load/token_counter.h"

#include <fmt/format.h>

#include "ridgeline/model/model_file.h"
#include "ridgeline/text/tokenizer.h"

namespace ridgeline::load {
namespace {

class ServerCounter : public TokenCounter {
 public:
  ServerCounter(ServerClient& server, std::string label)
      : server_(server), label_(std::move(label)) {}
  Result<std::int64_t> count(const std::string& text) override {
    return server_.count_tokens(text);
  }
  std::string name() const override { return fmt::format("{}'s /tokenize", label_); }

 private:
  ServerClient& server_;
  std::string label_;
};

class ModelCounter : public TokenCounter {
 public:
  ModelCounter(std::unique_ptr<Tokenizer> tokenizer, std::string path)
      : tokenizer_(std::move(tokenizer)), path_(std::move(path)) {}
  Result<std::int64_t> count(const std::string& text) override {
    Tokenizer::EncodeOptions options;
    options.add_bos = options.add_eos = false;
    return static_cast<std::int64_t>(tokenizer_->encode(text, options).size());
  }
  std::string name() const override { return fmt::format("the tokenizer of {}", path_); }

 private:
  std::unique_ptr<Tokenizer> tokenizer_;
  std::string path_;
};

class EstimatingCounter : public TokenCounter {
 public:
  Result<std::int64_t> count(const std::string& text) override {
    return static_cast<std::int64_t>((text.size() + 3) / 4);
  }
  bool is_estimate() const override { return true; }
  std::string name() const override { return "an estimate of 4 bytes a token"; }
};

}  // namespace

std::unique_ptr<TokenCounter> count_by_server(ServerClient& server, std::string label) {
  return std::make_unique<ServerCounter>(server, std::move(label));
}

Result<std::unique_ptr<TokenCounter>> count_by_model(const std::string& path) {
  RIDGELINE_TRY(const ModelFile file, ModelFile::open(path));
  RIDGELINE_TRY(std::unique_ptr<Tokenizer> tokenizer, file.tokenizer());
  return std::make_unique<ModelCounter>(std::move(tokenizer), path);
}

std::unique_ptr<TokenCounter> count_by_estimate() { return std::make_unique<EstimatingCounter>(); }

}  // namespace ridgeline::load
