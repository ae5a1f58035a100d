#include "ridgeline/model/latent_config.h"

namespace ridgeline {

Result<LatentConfig> read_latent_config(const MetadataReader& reader) {
  constexpr std::int64_t kMaxWidth = 1 << 16;
  // Files from before 2025-04 have the heads' own sizes where later ones have the cache's.
  const bool is_old = !reader.has("attention.key_length_mla");
  LatentConfig latent;
  RIDGELINE_TRY(latent.rank, reader.integer("attention.kv_lora_rank", 1, kMaxWidth));
  RIDGELINE_TRY(latent.q_rank, reader.integer("attention.q_lora_rank", 0, kMaxWidth, 0));
  RIDGELINE_TRY(
      const int query_dim,
      reader.integer(is_old ? "attention.key_length" : "attention.key_length_mla", 3, kMaxWidth));
  RIDGELINE_TRY(latent.value_dim,
                reader.integer(is_old ? "attention.value_length" : "attention.value_length_mla", 1,
                               kMaxWidth));
  RIDGELINE_TRY(latent.rope_dim, reader.integer("rope.dimension_count", 2, query_dim - 1));
  latent.key_dim = query_dim - latent.rope_dim;
  return latent;
}

}  // namespace ridgeline
