#include "ridgeline/engine/mask_worker.h"

#include <algorithm>
#include <limits>

#include "ridgeline/engine/sequence_output.h"

namespace ridgeline {

MaskWorker::~MaskWorker() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void MaskWorker::start(std::vector<MaskWork> work) {
  if (work.empty()) return;
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  {
    const std::lock_guard lock(mutex_);
    work_ = std::move(work);
    busy_ = true;
  }
  changed_.notify_all();
}

void MaskWorker::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !busy_; });
}

void MaskWorker::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return busy_ || ending_; });
    if (ending_) return;
    const std::vector<MaskWork> work = std::move(work_);
    lock.unlock();
    for (const MaskWork& item : work) {
      SequenceOutput& output = *item.output;
      output.matcher->allowed(output.mask);
      if (item.draft.empty()) continue;
      GrammarMatcher ahead = *output.matcher;
      output.draft_masks.resize(std::max(output.draft_masks.size(), item.draft.size()));
      for (std::size_t i = 0; i < item.draft.size() && ahead.accept(item.draft[i]); ++i) {
        output.draft_masks[i].resize(output.mask.size());
        ahead.allowed(output.draft_masks[i]);
      }
    }
    lock.lock();
    busy_ = false;
    changed_.notify_all();
  }
}

void apply_mask(std::span<const std::uint32_t> mask, std::span<float> logits) {
  constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
  for (std::size_t word = 0; word * 32 < logits.size(); ++word) {
    const std::span<float> some =
        logits.subspan(word * 32, std::min<std::size_t>(32, logits.size() - word * 32));
    const std::uint32_t bits = word < mask.size() ? mask[word] : 0;
    if (bits == ~std::uint32_t{0}) continue;
    if (bits == 0) {
      std::ranges::fill(some, kMinusInfinity);
      continue;
    }
    for (std::size_t i = 0; i < some.size(); ++i)
      if ((bits >> i & 1) == 0) some[i] = kMinusInfinity;
  }
}

}  // namespace ridgeline
