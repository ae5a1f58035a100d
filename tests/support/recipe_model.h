#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace ridgeline::test {

/// A model of tests/data/oracles/architectures: what it is made of, and what others computed
/// with it (tools/make_architecture_oracles.py).
struct RecipeModel {
  std::string name;
  nlohmann::json json;
  std::vector<float> output;  ///< [positions][width]: logits, or an encoder's hidden states

  std::vector<std::int32_t> prompt() const { return json["prompt_ids"]; }
  bool is_encoder() const { return json["encoder"]; }
};

/// All of them, by name.
std::vector<std::string> recipe_names();
RecipeModel read_recipe(const std::string& name);
/// Makes the model up and writes it as GGUF with a vocabulary of bytes.
void write_recipe_model(const std::string& path, const RecipeModel& model);

}  // namespace ridgeline::test
