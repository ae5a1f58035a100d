#include "ridgeline/tools/bench_workload.h"

#include <algorithm>

namespace ridgeline {

std::int64_t Pass::rows() const {
  std::int64_t n = 0;
  for (const Part& part : parts) n += part.rows;
  return n;
}

std::vector<Pass> passes_of(const Workload& work, std::int64_t batch_tokens) {
  std::vector<Pass> passes;
  std::int64_t room = 0;
  const auto add = [&](int stream, std::int64_t rows, std::int64_t position, bool logits) {
    if (room == 0) {
      passes.emplace_back();
      room = batch_tokens;
    }
    passes.back().parts.push_back({stream, rows, position, logits});
    room -= rows;
  };
  if (work.kind == Workload::Kind::kDecode) {
    for (std::int64_t step = 0; step < work.tokens; ++step) {
      room = 0;
      for (int s = 0; s < work.streams; ++s) add(s, 1, work.depth + step, true);
    }
    return passes;
  }
  for (int s = 0; s < work.streams; ++s)
    for (std::int64_t done = 0; done < work.tokens;) {
      const std::int64_t rows = std::min(room > 0 ? room : batch_tokens, work.tokens - done);
      add(s, rows, work.depth + done, done + rows == work.tokens);
      done += rows;
    }
  return passes;
}

}  // namespace ridgeline
