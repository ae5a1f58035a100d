#include "ridgeline/server/openai/embedding_endpoint.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <span>

namespace ridgeline::openai {
namespace {

class EmbeddingAnswer : public Answer {
 public:
  EmbeddingAnswer(const EmbeddingRequest& request, std::vector<std::size_t> prompt_tokens)
      : model_(request.model),
        base64_(request.base64),
        dimensions_(request.dimensions),
        prompt_tokens_(std::move(prompt_tokens)),
        vectors_(prompt_tokens_.size()) {}

  void on_event(std::size_t index, TokenEvent&& event, std::string&) override {
    if (!event.embedding.empty()) vectors_[index] = std::move(event.embedding);
  }

  void finish(std::string& out) override {
    Json data = Json::array();
    for (std::vector<float>& vector : vectors_) {
      shorten(vector);
      Json one{{"object", "embedding"}, {"index", data.size()}};
      if (base64_)
        one["embedding"] = base64(vector);
      else
        one["embedding"] = vector;
      data.push_back(std::move(one));
    }
    const auto tokens =
        std::accumulate(prompt_tokens_.begin(), prompt_tokens_.end(), std::size_t{0});
    out = dump({{"object", "list"},
                {"data", std::move(data)},
                {"model", model_},
                {"usage", {{"prompt_tokens", tokens}, {"total_tokens", tokens}}}});
  }

 private:
  /// Matryoshka embeddings: the first values, to a length of 1 again.
  void shorten(std::vector<float>& vector) const {
    if (!dimensions_ || static_cast<std::size_t>(*dimensions_) >= vector.size()) return;
    vector.resize(static_cast<std::size_t>(*dimensions_));
    double sum = 0;
    for (const float x : vector) sum += static_cast<double>(x) * static_cast<double>(x);
    if (sum == 0) return;
    const auto scale = static_cast<float>(1 / std::sqrt(sum));
    for (float& x : vector) x *= scale;
  }

  const std::string model_;
  const bool base64_;
  const std::optional<std::int64_t> dimensions_;
  const std::vector<std::size_t> prompt_tokens_;
  std::vector<std::vector<float>> vectors_;
};

}  // namespace

std::string base64(const std::vector<float>& values) {
  static_assert(std::endian::native == std::endian::little);
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const std::span bytes(reinterpret_cast<const unsigned char*>(values.data()),
                        values.size() * sizeof(float));
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto byte = [&](std::size_t k) {
      return i + k < bytes.size() ? static_cast<std::uint32_t>(bytes[i + k]) : 0U;
    };
    const std::uint32_t group = byte(0) << 16 | byte(1) << 8 | byte(2);
    text += kDigits[group >> 18];
    text += kDigits[group >> 12 & 63];
    text += i + 1 < bytes.size() ? kDigits[group >> 6 & 63] : '=';
    text += i + 2 < bytes.size() ? kDigits[group & 63] : '=';
  }
  return text;
}

Checked<EmbeddingRequest> read_embedding_request(const Json& body, const ServedModel& served) {
  std::optional<ApiError> error;
  Fields fields(body, "", error);
  EmbeddingRequest request;
  request.model = read_model(fields, served);
  request.inputs = read_prompts(fields, "input", served.tokenizer->vocab_size());
  const std::string encoding = fields.text("encoding_format").value_or("float");
  request.base64 = encoding == "base64";
  if (!request.base64 && encoding != "float")
    fields.fail("encoding_format",
                "is " + ridgeline::quoted(encoding) + "; expected float or base64");
  request.dimensions = fields.integer("dimensions", 1, served.embedding_size);
  request.truncate_prompt_tokens =
      fields.integer("truncate_prompt_tokens", 1, std::numeric_limits<std::int32_t>::max());
  request.add_special_tokens = fields.boolean("add_special_tokens").value_or(true);
  fields.text("user");
  EmbedOptions options;
  options.normalize = fields.boolean("normalize").value_or(true);
  if (!options.normalize && request.dimensions)
    fields.fail("dimensions", "is given with normalize: false; expected one of them");
  constexpr RefusedField kRefused[] = {
      {"messages", "", "give input"},
      {"modality", "\"text\"", "this model reads only text"},
      {"embd_normalize", "2", "use normalize"},
  };
  fields.refuse(kRefused);
  request.engine.embed = options;
  request.engine.deadlines = served.deadlines;
  request.engine.priority =
      static_cast<int>(fields.integer("priority", -1'000'000'000, 1'000'000'000).value_or(0));
  if (error) return tl::make_unexpected(*std::move(error));
  return request;
}

std::unique_ptr<Answer> make_embedding_answer(const EmbeddingRequest& request,
                                              std::vector<std::size_t> prompt_tokens) {
  return std::make_unique<EmbeddingAnswer>(request, std::move(prompt_tokens));
}

}  // namespace ridgeline::openai
