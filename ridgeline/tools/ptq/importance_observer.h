#pragma once

#include <cstdint>
#include <string>

#include "ridgeline/ops/backend.h"
#include "ridgeline/tools/ptq/importance_matrix.h"

namespace ridgeline::ptq {

/// Adds up the squares of every matrix's inputs, one by one of a stack.
class ImportanceObserver final : public LinearObserver {
 public:
  explicit ImportanceObserver(ImportanceMatrix& into) : into_(into) {}
  /// How many matrices a tensor holds, which products do not say.
  void expect(const std::string& tensor, std::int64_t matrices, std::int64_t cols);
  void observe(Matrix x, std::span<const PackedWeight* const> weights) override;
  /// Rows that reached a matrix without the backend's knowing. Nothing for tensors that are not
  /// expected, or have another width.
  void add(Matrix x, const std::string& tensor, std::int64_t matrix);

 private:
  ImportanceMatrix& into_;
};

}  // namespace ridgeline::ptq
