#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "ridgeline/base/result.h"
#include "ridgeline/ops/backend.h"
#include "ridgeline/tensor/buffer.h"
#include "ridgeline/tools/machine_probe.h"
#include "ridgeline/tools/predict_speed.h"

namespace ridgeline {

/// Measures products of a type of weights before there is a model: matrices of made-up weights,
/// as many as the model has bytes, so that they lie where its weights will: in a cache or, if no
/// cache holds them, in memory.
class ProductProbe {
 public:
  struct Options {
    BackendOptions backend{};
    std::size_t weight_bytes = 0;  ///< of the model, as packed
  };
  /// Error: no memory.
  static Result<ProductProbe> create(const Options& options);
  ~ProductProbe();
  ProductProbe(ProductProbe&&) noexcept;

  /// Of matrices [outputs][inputs], with each of so many rows, ascending from 1 on. Takes about
  /// `seconds`, and four products of the most rows however long they take. Error: there is no
  /// kernel for the type.
  Result<ProductRate> measure(MatrixType type, std::int64_t outputs, std::int64_t inputs,
                              std::span<const std::int64_t> rows, double seconds);

  /// A product to be run again and again, beside other work; valid until the next measure() or
  /// prepare().
  class Product {
   public:
    virtual ~Product() = default;
    /// With the weights that were used longest ago.
    virtual void multiply(std::int64_t rows) = 0;
    virtual double weights() const = 0;  ///< of one product
  };
  Result<std::unique_ptr<Product>> prepare(MatrixType type, std::int64_t outputs,
                                           std::int64_t inputs, std::int64_t rows_max);

  /// Whether the weights are too large for the last-level cache.
  bool reads_memory() const;
  /// What main memory gives at this moment; 0 if there was none for the probe.
  double measure_bandwidth(double seconds);

 private:
  struct State;
  class Matrices;
  Result<std::unique_ptr<Matrices>> fill(MatrixType type, std::int64_t outputs, std::int64_t inputs,
                                         std::int64_t rows_max);
  double beside_memory(const std::function<void()>& product, double bytes,
                       double& read_bytes_per_second);
  explicit ProductProbe(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace ridgeline
