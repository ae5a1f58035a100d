#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "ridgeline/kernels/kernel_table.h"
#include "ridgeline/model/model_config.h"
#include "ridgeline/tensor/tensor_view.h"
#include "ridgeline/tools/bench_workload.h"
#include "ridgeline/tools/roofline.h"

namespace ridgeline {

/// What forward passes of a model cost: operations by the arithmetic of the kernels that
/// do them, bytes by what has to pass between main memory and the caches.
///
/// Counted are the matrix products, attention's two (in F32), the weights once per pass,
/// and K and V once per pass and sequence, read and written. Activations stay in caches,
/// and a row of an embedding table is nothing beside a weight. Rows whose logits nobody
/// wants leave the last layer after its attention (Decoder::keep_logit_rows); what they
/// skip there is not counted either, nor is a head that no row needs. Of a mixture's experts a
/// row has its own, and a pass reads as many as its rows choose on average if all are as likely.
struct ModelCost {
  Cost per_row;              ///< operations of each row
  Cost per_pass;             ///< bytes of the weights that every pass reads
  Cost per_logit_row;        ///< further operations of a row whose logits are wanted
  Cost per_logit_pass;       ///< further bytes of a pass that has such rows
  Cost experts;              ///< operations of a row, bytes of all experts
  Cost logit_experts;        ///< likewise, of those that only rows with logits need
  double chosen_share = 0;   ///< of a layer's experts that a row chooses
  double attention_ops = 0;  ///< of one row against one position that all layers see
  double kv_bytes = 0;       ///< of one position, all layers

  /// Layers that see equally far.
  struct Sight {
    std::int64_t window = 0;  ///< positions, the row's own among them; 0: all
    double share = 1;         ///< of the layers
  };
  std::vector<Sight> sights{Sight{}};

  Cost of(const Pass& pass) const;
  Cost of(std::span<const Pass> passes) const;
};

/// `tensors` are the file's; `kv_bytes` is what a position takes in the cache.
ModelCost model_cost(const ModelConfig& config, std::span<const TensorView> tensors,
                     const KernelTable& kernels, ActivationPrecision activations, double kv_bytes);

// What the above and predict_speed.h both count by.

/// One expert's matrix, or all of a layer's.
bool is_expert_tensor(std::string_view name);
/// Does a row without logits skip this tensor? `last_layer`: "blk.15.".
bool only_for_logits(std::string_view name, std::string_view last_layer);
/// Layers by how far they see.
std::vector<ModelCost::Sight> sights_of(const ModelConfig& config);
/// What n rows from position `first` on see: pairs of a row and a position, and positions
/// that at least one of them sees.
struct Seen {
  double pairs, positions;
};
Seen positions_seen(double first, double n, double window);

}  // namespace ridgeline
