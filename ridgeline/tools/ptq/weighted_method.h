#pragma once

#include <string>
#include <utility>
#include <vector>

#include "ridgeline/tools/ptq/importance_matrix.h"
#include "ridgeline/tools/ptq/method.h"
#include "ridgeline/tools/ptq/plain_method.h"
#include "ridgeline/tools/ptq/row_stream.h"

namespace ridgeline::ptq {

/// Scales of least error where each input counts by its mean square on real text.
class WeightedMethod final : public Method {
 public:
  /// Model and threads outlive this. `path` names the matrix in errors.
  WeightedMethod(const Checkpoint& model, ThreadPool& threads, ImportanceMatrix importance,
                 std::string path)
      : plain_(model, threads),
        rows_(model, threads),
        importance_(std::move(importance)),
        path_(std::move(path)) {}

  std::string_view name() const override { return "importance"; }
  /// Error: the matrix has no entry for the tensor, or one of another width. The embedding and
  /// the head, which such files often leave out, are then rounded with all errors alike, with a
  /// note.
  Status quantize(const PlannedTensor& tensor, const Append& append,
                  TensorQuality& quality) override;
  std::vector<std::string> notes() const override { return notes_; }

 private:
  PlainMethod plain_;
  RowStream rows_;
  ImportanceMatrix importance_;
  std::string path_;
  std::vector<std::string> notes_;
};

}  // namespace ridgeline::ptq
