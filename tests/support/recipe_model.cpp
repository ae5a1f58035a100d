#include "tests/support/recipe_model.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <fstream>

#include "ridgeline/format/gguf_writer.h"
#include "tests/support/random_model.h"

namespace ridgeline::test {
namespace {

const std::string kFolder = RIDGELINE_SOURCE_DIR "/tests/data/oracles/architectures/";

/// Uniform in (-1, 1): 24 bits of splitmix64, seeded with the FNV-1a hash of the name.
class Hashed {
 public:
  explicit Hashed(const std::string& name) {
    for (const char c : name) state_ = (state_ ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  }
  double next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    z ^= z >> 31;
    return (static_cast<double>(z >> 40) - 8388607.5) / 8388608.0;
  }

 private:
  std::uint64_t state_ = 0xcbf29ce484222325U;
};

std::vector<float> values_of(const nlohmann::json& tensor) {
  if (tensor.contains("values")) return tensor["values"];
  std::size_t count = 1;
  for (std::size_t d : tensor["shape"]) count *= d;
  std::vector<float> values(count);
  Hashed noise(tensor["name"]);
  const double mean = tensor["mean"], spread = tensor["spread"];
  for (float& v : values) v = static_cast<float>(mean + spread * noise.next());
  return values;
}

GgufValue metadata_value(const nlohmann::json& value) {
  if (value.is_boolean()) return GgufValue::of(value.get<bool>());
  if (value.is_number_integer()) return GgufValue::of(value.get<std::uint32_t>());
  if (value.is_number()) return GgufValue::of(value.get<float>());
  if (value.is_array()) return GgufValue::of(value.get<std::vector<bool>>());
  return GgufValue::of(std::string_view(value.get_ref<const std::string&>()));
}

}  // namespace

std::vector<std::string> recipe_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder))
    if (entry.path().extension() == ".json") names.push_back(entry.path().stem());
  std::ranges::sort(names);
  return names;
}

RecipeModel read_recipe(const std::string& name) {
  RecipeModel model{name, nlohmann::json::parse(std::ifstream(kFolder + name + ".json")), {}};
  std::ifstream file(kFolder + name + ".f32", std::ios::binary);
  model.output.resize(model.json["positions"].get<std::size_t>() *
                      model.json["width"].get<std::size_t>());
  file.read(reinterpret_cast<char*>(model.output.data()),
            static_cast<std::streamsize>(model.output.size() * sizeof(float)));
  EXPECT_TRUE(file.good()) << name;
  return model;
}

void write_recipe_model(const std::string& path, const RecipeModel& model) {
  const std::string architecture = model.json["architecture"];
  GgufMetadata metadata{{"general.architecture", GgufValue::of(std::string_view(architecture))}};
  for (const auto& [key, value] : model.json["metadata"].items())
    metadata.emplace_back(key, metadata_value(value));
  add_byte_vocabulary(metadata, 259);

  std::deque<std::vector<float>> storage;
  std::vector<TensorView> tensors;
  for (const nlohmann::json& t : model.json["tensors"]) {
    const std::vector<float>& values = storage.emplace_back(values_of(t));
    TensorView view;
    view.name = t["name"];
    view.shape = t["shape"].get<std::vector<std::int64_t>>();
    view.data = reinterpret_cast<const std::byte*>(values.data());
    view.bytes = values.size() * sizeof(float);
    tensors.push_back(std::move(view));
  }
  const Status status = write_gguf(path, metadata, tensors);
  ASSERT_TRUE(status) << status.error().message;
}

}  // namespace ridgeline::test
