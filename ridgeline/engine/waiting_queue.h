#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>

#include "ridgeline/engine/sequence.h"

namespace ridgeline {

/// Sequences that wait for a place. Next is, in this order: the lowest priority number; one that
/// was preempted, the earliest first; of the tenant that was served least, the earliest.
///
/// "Served" is counted in tokens computed (the virtual token counter of Sheng et al. 2024,
/// "Fairness in Serving Large Language Models", section 4): a tenant that comes after a pause
/// starts level with the least served of those that wait, so that it cannot have saved anything up.
class WaitingQueue {
 public:
  void add(std::unique_ptr<Sequence> sequence);
  /// Null if nobody waits.
  Sequence* next();
  /// Takes the one that next() gave.
  std::unique_ptr<Sequence> take();
  /// Counts what was computed for a tenant.
  void charge(std::uint64_t tenant, std::int64_t tokens);
  /// Removes those of which it holds true.
  void remove_if(const std::function<bool(const Sequence&)>& condition);
  void for_each(const std::function<void(Sequence&)>& visit);

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::int64_t tokens() const { return tokens_; }  ///< of all, together

 private:
  using Queue = std::deque<std::unique_ptr<Sequence>>;  ///< by arrival
  struct Class {
    Queue preempted;
    std::map<std::uint64_t, Queue> tenants;
  };
  Queue* next_queue();
  void start_level(std::uint64_t tenant);
  bool waits(std::uint64_t tenant) const;

  std::map<int, Class> classes_;  ///< by priority; none is empty
  std::map<std::uint64_t, std::uint64_t> served_;
  std::size_t size_ = 0;
  std::int64_t tokens_ = 0;
};

}  // namespace ridgeline
