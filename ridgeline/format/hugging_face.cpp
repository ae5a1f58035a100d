#include "ridgeline/format/hugging_face.h"

#include <fmt/format.h>

#include <deque>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "ridgeline/format/gguf_text.h"
#include "ridgeline/format/hf_config.h"
#include "ridgeline/format/hf_tensors.h"
#include "ridgeline/format/json_file.h"
#include "ridgeline/format/safetensors.h"

namespace ridgeline {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::size_t kConfigBytesMax = std::size_t{16} << 20;
constexpr std::size_t kIndexBytesMax = std::size_t{64} << 20;

struct Weights {
  std::vector<MappedFile> files;
  std::vector<StoredTensor> tensors;

  Status add(const std::string& path) {
    RIDGELINE_TRY(SafetensorsFile file, SafetensorsFile::open(path));
    for (StoredTensor& t : file.tensors) t.file = files.size();
    std::move(file.tensors.begin(), file.tensors.end(), std::back_inserter(tensors));
    files.push_back(std::move(file.mapped));
    return {};
  }
};

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

Result<Weights> open_shards(const fs::path& folder, const fs::path& index_path) {
  RIDGELINE_TRY(const json index, read_json_object(index_path.string(), kIndexBytesMax));
  if (!index.contains("weight_map") || !index["weight_map"].is_object())
    return fail(fmt::format("{}: has no 'weight_map'", index_path.string()));
  std::map<std::string, std::size_t> shards;  // by name: which file
  for (const auto& [tensor, shard] : index["weight_map"].items()) {
    const std::string name = shard.is_string() ? shard.get<std::string>() : "";
    if (name.empty() || name.find('/') != std::string::npos || name.starts_with("."))
      return fail(fmt::format("{}: tensor {} is in {}, expected the name of a file beside it",
                              index_path.string(), gguf::quoted(tensor),
                              gguf::quoted(shard.dump())));
    shards.try_emplace(name, 0);
  }
  Weights weights;
  for (auto& [name, file] : shards) {
    if (!is_there(folder / name))
      return fail(fmt::format("{}: is missing: {} names {} shards", (folder / name).string(),
                              index_path.filename().string(), shards.size()));
    file = weights.files.size();
    RIDGELINE_TRY_STATUS(weights.add((folder / name).string()));
  }
  std::map<std::string_view, std::size_t> found;
  for (const StoredTensor& t : weights.tensors)
    if (!found.try_emplace(t.name, t.file).second)
      return fail(fmt::format("{}: tensor {} is in two of its shards", folder.string(),
                              gguf::quoted(t.name)));
  for (const auto& [tensor, shard] : index["weight_map"].items()) {
    const auto at = found.find(tensor);
    if (at == found.end() || at->second != shards[shard.get<std::string>()])
      return fail(fmt::format("{}: tensor {} is not in {}, as the index says", index_path.string(),
                              gguf::quoted(tensor), shard.get<std::string>()));
  }
  return weights;
}

Result<Weights> open_weights(const fs::path& folder) {
  const fs::path whole = folder / "model.safetensors";
  const fs::path index = folder / "model.safetensors.index.json";
  if (is_there(index)) return open_shards(folder, index);
  Weights weights;
  if (is_there(whole)) {
    RIDGELINE_TRY_STATUS(weights.add(whole.string()));
    return weights;
  }
  return fail(fmt::format("{}: has neither model.safetensors nor model.safetensors.index.json{}",
                          folder.string(),
                          is_there(folder / "pytorch_model.bin")
                              ? "; weights in pytorch_model.bin are not read, as unpickling runs "
                                "code: save the model as safetensors"
                              : ""));
}

/// How the model's authors want it sampled (generation_config.json), under the names that
/// llama.cpp's converter gives it.
Status read_sampling(const fs::path& folder,
                     std::map<std::string, GgufValue, std::less<>>& metadata) {
  const fs::path path = folder / "generation_config.json";
  if (!is_there(path)) return {};
  RIDGELINE_TRY(const json config, read_json_object(path.string(), kConfigBytesMax));
  constexpr std::pair<const char*, const char*> kKeys[] = {
      {"temperature", "general.sampling.temp"},
      {"top_p", "general.sampling.top_p"},
      {"min_p", "general.sampling.min_p"},
      {"repetition_penalty", "general.sampling.penalty_repeat"},
  };
  for (const auto& [from, to] : kKeys)
    if (config.contains(from) && config[from].is_number())
      metadata.insert_or_assign(to, GgufValue::of(config[from].get<float>()));
  if (config.contains("top_k") && config["top_k"].is_number_integer())
    metadata.insert_or_assign("general.sampling.top_k",
                              GgufValue::of(config["top_k"].get<std::int32_t>()));
  return {};
}

/// Keeps what tensors and texts of the checkpoint point into.
struct Owner {
  std::deque<std::string> texts;
  std::map<std::string, std::vector<float>> rope_factors;
};

}  // namespace

Result<Checkpoint> open_hugging_face(const std::string& folder) {
  const fs::path config_path = fs::path(folder) / "config.json";
  if (!is_there(config_path))
    return fail(
        fmt::format("{}: has no config.json, expected a folder of a Hugging Face model", folder));
  RIDGELINE_TRY(const json config_json, read_json_object(config_path.string(), kConfigBytesMax));
  RIDGELINE_TRY(HfConfig config, read_hf_config(config_json, config_path.string()));
  RIDGELINE_TRY(Weights weights, open_weights(folder));

  Checkpoint::Contents contents;
  contents.path = folder;
  contents.format = weights.files.size() == 1
                        ? "Hugging Face safetensors"
                        : fmt::format("Hugging Face safetensors, {} shards", weights.files.size());
  if (config.quantization) contents.format += ", " + config.quantization->description();
  for (const MappedFile& file : weights.files) contents.file_bytes += file.bytes().size();
  RIDGELINE_TRY(contents.tensors, map_hf_tensors(weights.tensors, config, folder));

  auto owner = std::make_shared<Owner>();
  owner->texts = std::move(config.texts);
  owner->rope_factors = std::move(config.rope_factors);
  for (const auto& [name, factors] : owner->rope_factors) {
    TensorView view;
    view.name = name;
    view.shape = {static_cast<std::int64_t>(factors.size())};
    view.data = reinterpret_cast<const std::byte*>(factors.data());
    view.bytes = factors.size() * sizeof(float);
    contents.tensors.push_back(std::move(view));
  }
  contents.metadata = std::move(config.metadata);
  RIDGELINE_TRY_STATUS(read_sampling(folder, contents.metadata));
  contents.files = std::move(weights.files);
  contents.owner = std::move(owner);
  return Checkpoint(std::move(contents));
}

}  // namespace ridgeline
