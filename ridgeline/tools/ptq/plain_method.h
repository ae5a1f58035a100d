#pragma once

#include "ridgeline/tools/ptq/method.h"
#include "ridgeline/tools/ptq/row_stream.h"

namespace ridgeline::ptq {

/// Round to nearest: the reference encoders of the block formats, whose bytes are those of
/// llama.cpp's.
class PlainMethod final : public Method {
 public:
  /// Both outlive this.
  PlainMethod(const Checkpoint& model, ThreadPool& threads) : rows_(model, threads) {}

  std::string_view name() const override { return "nearest"; }
  Status quantize(const PlannedTensor& tensor, const Append& append,
                  TensorQuality& quality) override;

 private:
  RowStream rows_;
};

}  // namespace ridgeline::ptq
