#pragma once

#include <string>

#include "ridgeline/format/gguf_writer.h"
#include "ridgeline/tensor/dtype.h"

namespace ridgeline::test {

/// A small model with random weights that runs in milliseconds. Widths are multiples
/// of 256, so that every block format fits.
struct RandomModel {
  std::string architecture = "llama";  ///< "llama", "qwen2", "qwen3" or "qwen3moe"
  DType dtype = DType::kF32;           ///< of the matrices
  int layers = 2;
  int hidden_size = 256;
  int num_heads = 4;
  int num_kv_heads = 2;
  int head_dim = 64;
  int ffn_size = 512;  ///< of each expert, where there are experts
  int experts = 0;
  int experts_per_row = 3;
  int vocab_size = 300;  ///< 3 specials, 256 bytes, words
  int context = 1024;
  bool tied = false;
  unsigned seed = 1;
  float outliers = 1;  ///< every 50th weight of a norm is so many times as large
  float planted = 0;   ///< if not 0: the value of one weight (NaN, infinity)
};

/// Writes it as GGUF to `path`, with a SentencePiece vocabulary of bytes.
void write_random_model(const std::string& path, const RandomModel& model);

/// A SentencePiece vocabulary of 3 specials, 256 bytes and words.
void add_byte_vocabulary(GgufMetadata& metadata, int size);

/// A path in the test's own temporary folder.
std::string temporary_path(const std::string& name);

}  // namespace ridgeline::test
