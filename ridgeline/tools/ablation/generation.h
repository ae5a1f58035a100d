#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ridgeline/engine/engine.h"

// How texts come out of an engine's model: the ways that serving took, one after the other. All
// of them choose the likeliest token, go on to the stated length whatever the model says, and
// give the same tokens.

namespace ridgeline {

/// Who computes what, and when.
enum class ServingPolicy {
  kRecompute,      ///< the whole sequence for every token; the engine has a NoCacheBackend
  kOneAtATime,     ///< a KV cache, one request after the other
  kStaticBatches,  ///< as many requests as the engine has sequences, padded to the longest
                   ///< prompt and kept until the longest output ends
  kContinuous,     ///< the engine's scheduler
};

/// What sequences hold of the KV cache.
enum class KvPolicy {
  kPreallocated,  ///< the context, from the beginning
  kPaged,         ///< blocks as they are needed
};

/// Of the KV cache, over the steps of a run.
class KvMeter {
 public:
  /// `used`: bytes of K and V that are somebody's, of those that are held.
  void observe(std::uint64_t held, double used);
  std::uint64_t peak_bytes() const { return peak_; }
  /// Of the bytes held, the share that was used; 0 where nothing was held.
  double utilisation() const { return held_ > 0 ? used_ / held_ : 0; }

 private:
  std::uint64_t peak_ = 0;
  double held_ = 0, used_ = 0;
};

/// Bytes of the blocks that the engine's sequences hold.
std::uint64_t kv_bytes_held(Engine& engine);

/// One text, token by token.
class Generation {
 public:
  virtual ~Generation() = default;
  /// Computes the prompt; returns the first token, or more. At most `most_tokens` will be asked
  /// for. What was generated before is forgotten.
  virtual Result<std::vector<TokenId>> start(std::span<const TokenId> prompt,
                                             std::int64_t most_tokens) = 0;
  /// One more step.
  virtual Result<std::vector<TokenId>> next() = 0;
  /// Gives back what it holds of the engine.
  virtual void stop() = 0;
  /// Since the last start().
  const KvMeter& kv() const { return kv_; }

 protected:
  KvMeter kv_;
};
/// Of one stream; static batches are of one then.
std::unique_ptr<Generation> make_generation(Engine& engine, ServingPolicy policy, KvPolicy kv);

struct StreamRequest {
  std::vector<TokenId> prompt;
  std::int64_t output_tokens = 0;
};

/// What came of a list of requests.
struct Served {
  std::vector<std::vector<TokenId>> outputs;  ///< of the requests that were served
  double seconds = 0;
  KvMeter kv{};
  std::int64_t computed_rows = 0;  ///< of static batches, those of padding among them

  std::int64_t output_tokens() const;
  double tokens_per_second() const { return static_cast<double>(output_tokens()) / seconds; }
};

/// Serves the requests in their order. No request (no batch, of static ones) but the first
/// begins after `seconds_max`; with kContinuous all of them begin.
/// Error: the KV pool has no room for what the policies ask; logits that are not numbers.
Result<Served> serve(Engine& engine, ServingPolicy policy, KvPolicy kv,
                     std::span<const StreamRequest> requests, double seconds_max);

}  // namespace ridgeline
