#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ridgeline/model/model_config.h"
#include "ridgeline/tensor/tensor_view.h"
#include "ridgeline/tools/bench_workload.h"
#include "ridgeline/tools/model_cost.h"
#include "ridgeline/tools/roofline.h"

// How long forward passes will take, before a model is loaded:
//
//     seconds = sum over types of weights of  weights * seconds per weight at so many rows
//             + layers * what a layer does beside its products, attention among it
//
// What it is computed from was measured on this machine: products of the same types and shapes
// (product_probe.h), and the first of the model's layers (layer_probe.h). Plain arithmetic.

namespace ridgeline {

/// What a product of one type of weights takes.
struct ProductRate {
  MatrixType type = DType::kF32;
  Arithmetic arithmetic = Arithmetic::kF32;
  double bytes_per_weight = 0;  ///< that a product reads
  /// Bytes per second of main memory beside the measurement; 0: the weights were in a cache.
  double read_bytes_per_second = 0;
  /// Operations per second in registers beside it, at best; 0: not known.
  double peak_ops_per_second = 0;
  struct Knot {
    double rows, seconds_per_weight;
  };
  std::vector<Knot> knots;  ///< ascending in rows, the first at 1; not empty

  /// Linear between knots, proportional to the rows behind the last. As far as the time is that of
  /// memory, it moves with what memory gives now: `read_bytes_per_second`, 0: as it was.
  double seconds_per_weight(double rows, double read_bytes_per_second) const;
  /// Of the memory's rate at one row; 0 where it is not known.
  double share_of_memory() const;
  /// Operations per second at the last knot.
  double ops_per_second() const;
};

/// What a layer takes beside multiplying by its weights: norms, rotation, waking threads, and
/// attention. Terms are differences of measurements and may be a little below zero.
struct LayerRate {
  double seconds_one = 0;           ///< of a step of one row
  double seconds_per_position = 0;  ///< more for each position that it sees
  double seconds_per_row = 0;       ///< of each of many rows
  double seconds_per_pair = 0;      ///< of many rows: a row and a position that it sees
};

struct SpeedRates {
  std::vector<ProductRate> products;
  LayerRate layer;
  double head_seconds = 0;  ///< of a pass, beside layers and products

  /// Null if the type was not measured.
  const ProductRate* find(MatrixType type) const;
  /// Whether weights come from main memory, and so K and V with them.
  bool read_memory() const { return memory() > 0; }
  /// Bytes per second that memory gave when the rates were measured, in the middle of all types;
  /// 0: it was not read.
  double memory() const;
};

/// What the passes of a model consist of, as far as time depends on it.
struct ModelWork {
  struct Weights {
    MatrixType type = DType::kF32;
    double count = 0;         ///< of weights, of all experts
    bool of_experts = false;  ///< each row has its own
    bool for_logits = false;  ///< only rows with logits need them
  };
  std::vector<Weights> weights;
  int layers = 0;
  double chosen_share = 1;  ///< of a layer's experts that a row chooses
  std::vector<ModelCost::Sight> sights{ModelCost::Sight{}};
  double kv_bytes = 0;  ///< of one position in one layer
};
/// `kv_bytes`: of one position in all layers. `types` [tensors]: in place of the tensors' own, for
/// what would be if; empty: their own.
ModelWork model_work(const ModelConfig& config, std::span<const TensorView> tensors,
                     ActivationPrecision activations, double kv_bytes,
                     std::span<const DType> types = {});
/// How a tensor is multiplied by: `kept` only where that makes a difference.
MatrixType product_type(const TensorView& tensor, ActivationPrecision activations);

/// Of products with `rows` rows, of which `logit_rows` have logits.
double products_seconds(const ModelWork& work, const SpeedRates& rates, double rows,
                        double logit_rows, double read_bytes_per_second = 0);

/// Where the time goes.
struct PassTime {
  double products = 0;
  double attention = 0;  ///< that depends on how far rows see
  double rest = 0;
  double seconds() const { return products + attention + rest; }
  PassTime& operator+=(const PassTime& other);
};
/// Types that were not measured are a bug. `read_bytes_per_second`: what memory gives now; 0: what
/// it gave when the rates were measured.
PassTime predict(const ModelWork& work, const SpeedRates& rates, const Pass& pass,
                 double read_bytes_per_second = 0);
PassTime predict(const ModelWork& work, const SpeedRates& rates, std::span<const Pass> passes,
                 double read_bytes_per_second = 0);

/// The workload's passes, of at most `batch_tokens` rows.
double predicted_seconds(const ModelWork& work, const SpeedRates& rates, const Workload& workload,
                         std::int64_t batch_tokens, double read_bytes_per_second = 0);
/// Of all streams together.
double predicted_tokens_per_second(const ModelWork& work, const SpeedRates& rates,
                                   const Workload& workload, std::int64_t batch_tokens,
                                   double read_bytes_per_second = 0);

}  // namespace ridgeline
