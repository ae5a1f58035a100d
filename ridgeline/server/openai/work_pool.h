#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace ridgeline::openai {

/// Threads for what may take milliseconds before the engine is asked: parsing, templates,
/// tokenizing, grammars. I/O threads do none of it, so that /health answers at any time.
class WorkPool {
 public:
  WorkPool(int threads, std::size_t max_waiting);
  /// Drops what has not begun.
  ~WorkPool();
  WorkPool(const WorkPool&) = delete;
  WorkPool& operator=(const WorkPool&) = delete;

  /// False: too much is waiting.
  bool post(std::function<void()> work);

 private:
  void run();

  const std::size_t max_waiting_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> waiting_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace ridgeline::openai
