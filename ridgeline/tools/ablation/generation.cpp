#include "ridgeline/tools/ablation/generation.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <utility>

#include "ridgeline/base/check.h"
#include "ridgeline/engine/logit_scan.h"

namespace ridgeline {
namespace {

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

tl::unexpected<Error> no_room(std::int64_t positions) {
  return fail(fmt::format("the KV pool has no room for {} positions of every stream", positions));
}

/// A sequence that is computed by hand.
struct Stream {
  explicit Stream(KvPools& pools) : blocks(pools) {}
  std::vector<TokenId> tokens;
  SequenceBlocks blocks;
};

/// Forward passes over streams.
class ManualRun {
 public:
  explicit ManualRun(Engine& engine) : engine_(engine) {}

  /// Positions [begin, end) of a stream's `tokens`, in the next pass.
  Status add(const Stream& stream, SequenceBlocks& blocks, std::int64_t begin, std::int64_t end,
             bool wants_logits) {
    if (!blocks.advance(begin, end)) return no_room(end);
    const auto first = static_cast<std::int32_t>(batch_.rows());
    for (std::int64_t p = begin; p < end; ++p)
      batch_.tokens.push_back(
          p < std::ssize(stream.tokens) ? stream.tokens[static_cast<std::size_t>(p)] : TokenId{0});
    batch_.slices.push_back(
        {first, static_cast<std::int32_t>(end - begin), begin, blocks.tables()});
    if (wants_logits)
      batch_.logit_rows.push_back(first + static_cast<std::int32_t>(end - begin) - 1);
    return {};
  }
  std::int64_t rows() const { return batch_.rows(); }
  /// The row whose logits are wanted may be another than the last.
  void want(std::int64_t row) { batch_.logit_rows.push_back(static_cast<std::int32_t>(row)); }

  /// Runs the pass: the likeliest token of each row that was wanted, in their order.
  Result<std::vector<TokenId>> run() {
    const auto vocab = static_cast<std::size_t>(engine_.config().vocab_size);
    engine_.model().forward(batch_, engine_.kv_cache());
    const std::size_t wanted = batch_.logit_rows.size();
    logits_.resize(wanted * vocab);
    if (wanted > 0) engine_.model().head(0, static_cast<std::int64_t>(wanted), logits_);
    batch_.clear();
    std::vector<TokenId> tokens;
    for (std::size_t i = 0; i < wanted; ++i) {
      const auto best = argmax(std::span(logits_).subspan(i * vocab, vocab));
      if (!best) return fail("the model's logits are not finite numbers");
      tokens.push_back(static_cast<TokenId>(*best));
    }
    return tokens;
  }

 private:
  Engine& engine_;
  Batch batch_;
  std::vector<float> logits_;
};

/// Bytes of K and V that a sequence of so many positions needs.
double bytes_used(const Engine& engine, std::int64_t positions) {
  return engine.kv_sizes().bytes_seen(positions);
}

class Recomputing final : public Generation {
 public:
  explicit Recomputing(Engine& engine)
      : engine_(engine), run_(engine), stream_(engine.kv_pools()) {}

  Result<std::vector<TokenId>> start(std::span<const TokenId> prompt, std::int64_t) override {
    stream_.tokens.assign(prompt.begin(), prompt.end());
    kv_ = {};
    return next();
  }
  Result<std::vector<TokenId>> next() override {
    const auto length = std::ssize(stream_.tokens);
    RIDGELINE_CHECK(length <= engine_.batch_tokens());
    stream_.blocks.clear();
    RIDGELINE_TRY_STATUS(run_.add(stream_, stream_.blocks, 0, length, true));
    kv_.observe(kv_bytes_held(engine_), bytes_used(engine_, length));
    RIDGELINE_TRY(std::vector<TokenId> tokens, run_.run());
    stream_.tokens.push_back(tokens.front());
    return tokens;
  }
  void stop() override { stream_.blocks.clear(); }

 private:
  Engine& engine_;
  ManualRun run_;
  Stream stream_;
};

/// Static batches of any size: one is one request at a time.
class StaticBatch {
 public:
  StaticBatch(Engine& engine, KvPolicy kv) : engine_(engine), kv_(kv), run_(engine) {}

  struct Part {
    std::span<const TokenId> prompt;
    std::int64_t output_tokens;
  };
  /// Computes the prompts, padded to the longest one; returns the first token of each.
  Result<std::vector<TokenId>> start(std::span<const Part> parts) {
    streams_.clear();
    wanted_.clear();
    std::int64_t longest = 0;
    for (const Part& part : parts) {
      Stream& stream = streams_.emplace_back(engine_.kv_pools());
      stream.tokens.assign(part.prompt.begin(), part.prompt.end());
      longest = std::max(longest, std::ssize(part.prompt));
      wanted_.push_back(std::ssize(part.prompt) + part.output_tokens);
      if (kv_ == KvPolicy::kPreallocated && !stream.blocks.advance(0, engine_.context()))
        return no_room(engine_.context());
    }
    std::vector<TokenId> firsts;
    const auto run = [&]() -> Status {
      computed_rows += run_.rows();
      RIDGELINE_TRY(const std::vector<TokenId> tokens, run_.run());
      firsts.insert(firsts.end(), tokens.begin(), tokens.end());
      observe();
      return {};
    };
    // A prompt after the other; padding is behind a prompt, where no row of it looks, and
    // decoding writes over it.
    for (Stream& stream : streams_) {
      const std::int64_t last = std::ssize(stream.tokens) - 1;
      for (std::int64_t begin = 0; begin < longest;) {
        const std::int64_t room = engine_.batch_tokens() - run_.rows();
        const std::int64_t end = std::min(longest, begin + room);
        const std::int64_t first_row = run_.rows();
        RIDGELINE_TRY_STATUS(run_.add(stream, stream.blocks, begin, end, false));
        if (begin <= last && last < end) run_.want(first_row + last - begin);
        begin = end;
        if (run_.rows() == engine_.batch_tokens()) RIDGELINE_TRY_STATUS(run());
      }
    }
    if (run_.rows() > 0) RIDGELINE_TRY_STATUS(run());
    append(firsts);
    return firsts;
  }
  /// One more token of every stream.
  Result<std::vector<TokenId>> next() {
    for (Stream& stream : streams_) {
      const auto length = std::ssize(stream.tokens);
      RIDGELINE_TRY_STATUS(run_.add(stream, stream.blocks, length - 1, length, true));
    }
    computed_rows += run_.rows();
    RIDGELINE_TRY(const std::vector<TokenId> tokens, run_.run());
    observe();
    append(tokens);
    return tokens;
  }
  void stop() { streams_.clear(); }

  KvMeter meter;
  std::int64_t computed_rows = 0;

 private:
  void append(const std::vector<TokenId>& tokens) {
    for (std::size_t i = 0; i < tokens.size(); ++i) streams_[i].tokens.push_back(tokens[i]);
  }
  /// Neither padding nor an output that is at its end uses what it holds.
  void observe() {
    double used = 0;
    for (std::size_t i = 0; i < streams_.size(); ++i)
      if (const auto length = std::ssize(streams_[i].tokens); length < wanted_[i])
        used += bytes_used(engine_, length);
    meter.observe(kv_bytes_held(engine_), used);
  }

  Engine& engine_;
  KvPolicy kv_;
  ManualRun run_;
  std::vector<Stream> streams_;
  std::vector<std::int64_t> wanted_;  ///< by stream: tokens at its end
};

class Cached final : public Generation {
 public:
  Cached(Engine& engine, KvPolicy kv) : batch_(engine, kv) {}

  Result<std::vector<TokenId>> start(std::span<const TokenId> prompt,
                                     std::int64_t most_tokens) override {
    const StaticBatch::Part part{prompt, most_tokens};
    batch_.meter = {};
    auto tokens = batch_.start({&part, 1});
    kv_ = batch_.meter;
    return tokens;
  }
  Result<std::vector<TokenId>> next() override {
    auto tokens = batch_.next();
    kv_ = batch_.meter;
    return tokens;
  }
  void stop() override { batch_.stop(); }

 private:
  StaticBatch batch_;
};

SamplingParams greedy(std::int64_t tokens) {
  SamplingParams params;
  params.temperature = 0;
  params.ignore_eos = true;
  params.max_tokens = static_cast<int>(tokens);
  return params;
}

void observe(Engine& engine, KvMeter& meter) {
  const std::uint64_t held = kv_bytes_held(engine);
  meter.observe(held, static_cast<double>(held) * (1 - engine.stats().kv_waste));
}

/// The engine's own steps.
class Scheduled final : public Generation {
 public:
  explicit Scheduled(Engine& engine) : engine_(engine) {}

  Result<std::vector<TokenId>> start(std::span<const TokenId> prompt,
                                     std::int64_t most_tokens) override {
    stop();
    kv_ = {};
    RIDGELINE_TRY(request_, engine_.submit({prompt.begin(), prompt.end()}, greedy(most_tokens)));
    return next();
  }
  Result<std::vector<TokenId>> next() override {
    std::vector<TokenId> tokens;
    while (tokens.empty() && !engine_.idle())
      for (const TokenEvent& event : engine_.step()) {
        if (event.finished == FinishReason::kError) return fail(event.error);
        if (event.token) tokens.push_back(*event.token);
      }
    observe(engine_, kv_);
    return tokens;
  }
  void stop() override { engine_.cancel(request_); }

 private:
  Engine& engine_;
  RequestId request_ = 0;
};

Result<Served> serve_one_by_one(Engine& engine, ServingPolicy policy, KvPolicy kv,
                                std::span<const StreamRequest> requests, double seconds_max) {
  Served served;
  const std::unique_ptr<Generation> generation = make_generation(engine, policy, kv);
  const auto start = Clock::now();
  for (const StreamRequest& request : requests) {
    if (!served.outputs.empty() && seconds_since(start) > seconds_max) break;
    RIDGELINE_TRY(std::vector<TokenId> output,
                  generation->start(request.prompt, request.output_tokens));
    while (std::ssize(output) < request.output_tokens) {
      RIDGELINE_TRY(const std::vector<TokenId> tokens, generation->next());
      output.insert(output.end(), tokens.begin(), tokens.end());
    }
    generation->stop();
    served.outputs.push_back(std::move(output));
  }
  served.seconds = seconds_since(start);
  served.kv = generation->kv();
  return served;
}

Result<Served> serve_batches(Engine& engine, KvPolicy kv, std::span<const StreamRequest> requests,
                             double seconds_max) {
  Served served;
  StaticBatch batch(engine, kv);
  const auto start = Clock::now();
  for (std::size_t first = 0; first < requests.size();) {
    if (first > 0 && seconds_since(start) > seconds_max) break;
    const auto part = requests.subspan(
        first, std::min(requests.size() - first, static_cast<std::size_t>(engine.max_sequences())));
    std::vector<StaticBatch::Part> parts;
    std::int64_t most = 0;
    for (const StreamRequest& request : part) {
      parts.push_back({request.prompt, request.output_tokens});
      most = std::max(most, request.output_tokens);
    }
    std::vector<std::vector<TokenId>> outputs(part.size());
    for (std::int64_t i = 0; i < most; ++i) {
      RIDGELINE_TRY(const std::vector<TokenId> tokens, i == 0 ? batch.start(parts) : batch.next());
      for (std::size_t s = 0; s < part.size(); ++s)
        if (i < part[s].output_tokens) outputs[s].push_back(tokens[s]);
    }
    std::ranges::move(outputs, std::back_inserter(served.outputs));
    batch.stop();
    first += part.size();
  }
  served.seconds = seconds_since(start);
  served.kv = batch.meter;
  served.computed_rows = batch.computed_rows;
  return served;
}

Result<Served> serve_continuously(Engine& engine, std::span<const StreamRequest> requests) {
  Served served;
  std::map<RequestId, std::size_t> index;
  const auto start = Clock::now();
  for (const StreamRequest& request : requests) {
    RIDGELINE_TRY(const RequestId id, engine.submit(request.prompt, greedy(request.output_tokens)));
    index.emplace(id, index.size());
  }
  served.outputs.resize(requests.size());
  while (!engine.idle()) {
    for (const TokenEvent& event : engine.step()) {
      if (event.finished == FinishReason::kError) return fail(event.error);
      if (event.token) served.outputs[index.at(event.request)].push_back(*event.token);
    }
    served.computed_rows += engine.last_step().prefill_rows + engine.last_step().decode_rows;
    observe(engine, served.kv);
  }
  served.seconds = seconds_since(start);
  return served;
}

}  // namespace

void KvMeter::observe(std::uint64_t held, double used) {
  peak_ = std::max(peak_, held);
  held_ += static_cast<double>(held);
  used_ += used;
}

std::uint64_t kv_bytes_held(Engine& engine) {
  const KvCacheShape& shape = engine.kv_cache().shape();
  std::uint64_t bytes = 0;
  for (int i = 0; i < engine.kv_pools().groups(); ++i) {
    const BlockPool& pool = std::as_const(engine.kv_pools()).pool(i);
    const Result<std::size_t> block = engine.backend().kv_block_bytes(shape, i);
    RIDGELINE_CHECK(block.has_value());  // the cache was made of such
    bytes += *block * static_cast<std::uint64_t>(pool.capacity() - pool.available());
  }
  return bytes;
}

std::unique_ptr<Generation> make_generation(Engine& engine, ServingPolicy policy, KvPolicy kv) {
  switch (policy) {
    case ServingPolicy::kRecompute:
      return std::make_unique<Recomputing>(engine);
    case ServingPolicy::kOneAtATime:
    case ServingPolicy::kStaticBatches:
      return std::make_unique<Cached>(engine, kv);
    case ServingPolicy::kContinuous:
      break;
  }
  return std::make_unique<Scheduled>(engine);
}

std::int64_t Served::output_tokens() const {
  std::int64_t tokens = 0;
  for (const auto& output : outputs) tokens += std::ssize(output);
  return tokens;
}

Result<Served> serve(Engine& engine, ServingPolicy policy, KvPolicy kv,
                     std::span<const StreamRequest> requests, double seconds_max) {
  switch (policy) {
    case ServingPolicy::kRecompute:
    case ServingPolicy::kOneAtATime:
      return serve_one_by_one(engine, policy, kv, requests, seconds_max);
    case ServingPolicy::kStaticBatches:
      return serve_batches(engine, kv, requests, seconds_max);
    case ServingPolicy::kContinuous:
      break;
  }
  return serve_continuously(engine, requests);
}

}  // namespace ridgeline
