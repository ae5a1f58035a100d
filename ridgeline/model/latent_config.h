#pragma once

#include "ridgeline/base/result.h"
#include "ridgeline/model/metadata_reader.h"

namespace ridgeline {

/// Multi-head latent attention (DeepSeek-V2, section 2.1): keys and values of all heads are
/// made from one latent vector per position, and beside it one small key is rotated.
struct LatentConfig {
  int rank = 0;       ///< of keys' and values' latent; 0: ordinary attention
  int q_rank = 0;     ///< of the queries'; 0: they are projected at once
  int key_dim = 0;    ///< of each head, without the rotated part
  int rope_dim = 0;   ///< of each query's rotated part, and of the key that all heads share
  int value_dim = 0;  ///< of each head

  int query_dim() const { return key_dim + rope_dim; }
};

/// Errors: a missing key; heads that are no wider than their rotated part.
Result<LatentConfig> read_latent_config(const MetadataReader& reader);

}  // namespace ridgeline
