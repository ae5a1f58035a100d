#pragma once

#include <condition_variable>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "ridgeline/text/tokenizer.h"

namespace ridgeline {

struct SequenceOutput;

struct MaskWork {
  SequenceOutput* output;
  std::span<const TokenId> draft;  ///< that the step checks behind the sequence's last token
};

/// Computes the masks of grammars while the forward pass runs: one thread, started with the
/// first work, which sleeps otherwise.
class MaskWorker {
 public:
  MaskWorker() = default;
  ~MaskWorker();
  MaskWorker(const MaskWorker&) = delete;
  MaskWorker& operator=(const MaskWorker&) = delete;

  /// Fills output->mask by output->matcher for each, and output->draft_masks; nobody touches
  /// them until wait().
  void start(std::vector<MaskWork> work);
  void wait();

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<MaskWork> work_;
  bool busy_ = false, ending_ = false;
  std::thread thread_;
};

/// Sets the logits of tokens whose bit is not set to -inf.
void apply_mask(std::span<const std::uint32_t> mask, std::span<float> logits);

}  // namespace ridgeline
