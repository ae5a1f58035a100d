#include "ridgeline/engine/waiting_queue.h"

#include <algorithm>

#include "ridgeline/base/check.h"

namespace ridgeline {

bool WaitingQueue::waits(std::uint64_t tenant) const {
  return std::ranges::any_of(
      classes_, [&](const auto& entry) { return entry.second.tenants.contains(tenant); });
}

void WaitingQueue::start_level(std::uint64_t tenant) {
  std::optional<std::uint64_t> least;
  for (const auto& [priority, of] : classes_)
    for (const auto& [other, queue] : of.tenants)
      least = std::min(least.value_or(served_[other]), served_[other]);
  if (least) served_[tenant] = std::max(served_[tenant], *least);
}

void WaitingQueue::add(std::unique_ptr<Sequence> sequence) {
  const bool preempted = sequence->preemptions > 0;
  if (!preempted && !waits(sequence->tenant)) start_level(sequence->tenant);
  ++size_;
  tokens_ += sequence->total_tokens();
  Class& of = classes_[sequence->priority];
  Queue& queue = preempted ? of.preempted : of.tenants[sequence->tenant];
  const auto at = std::ranges::upper_bound(
      queue, *sequence, [](const Sequence& a, const Sequence& b) { return a.before(b); },
      [](const auto& s) -> const Sequence& { return *s; });
  queue.insert(at, std::move(sequence));
}

WaitingQueue::Queue* WaitingQueue::next_queue() {
  if (classes_.empty()) return nullptr;
  Class& of = classes_.begin()->second;
  if (!of.preempted.empty()) return &of.preempted;
  // Of equally served tenants, whose first came first.
  const auto least = std::ranges::min_element(of.tenants, [&](const auto& a, const auto& b) {
    const std::uint64_t served_a = served_[a.first], served_b = served_[b.first];
    if (served_a != served_b) return served_a < served_b;
    return a.second.front()->before(*b.second.front());
  });
  return &least->second;
}

Sequence* WaitingQueue::next() {
  Queue* queue = next_queue();
  return queue == nullptr ? nullptr : queue->front().get();
}

std::unique_ptr<Sequence> WaitingQueue::take() {
  Queue* queue = next_queue();
  RIDGELINE_CHECK(queue != nullptr);
  std::unique_ptr<Sequence> sequence = std::move(queue->front());
  queue->pop_front();
  --size_;
  tokens_ -= sequence->total_tokens();
  const auto of = classes_.begin();
  std::erase_if(of->second.tenants, [](const auto& t) { return t.second.empty(); });
  if (of->second.preempted.empty() && of->second.tenants.empty()) classes_.erase(of);
  return sequence;
}

void WaitingQueue::charge(std::uint64_t tenant, std::int64_t tokens) {
  served_[tenant] += static_cast<std::uint64_t>(tokens);
}

void WaitingQueue::remove_if(const std::function<bool(const Sequence&)>& condition) {
  const auto clean = [&](Queue& queue) {
    std::erase_if(queue, [&](const std::unique_ptr<Sequence>& s) {
      if (!condition(*s)) return false;
      --size_;
      tokens_ -= s->total_tokens();
      return true;
    });
  };
  for (auto& [priority, of] : classes_) {
    clean(of.preempted);
    for (auto& [tenant, queue] : of.tenants) clean(queue);
    std::erase_if(of.tenants, [](const auto& t) { return t.second.empty(); });
  }
  std::erase_if(classes_, [](const auto& entry) {
    return entry.second.preempted.empty() && entry.second.tenants.empty();
  });
}

void WaitingQueue::for_each(const std::function<void(Sequence&)>& visit) {
  for (auto& [priority, of] : classes_) {
    for (const auto& s : of.preempted) visit(*s);
    for (const auto& [tenant, queue] : of.tenants)
      for (const auto& s : queue) visit(*s);
  }
}

}  // namespace ridgeline
