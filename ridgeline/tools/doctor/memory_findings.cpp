#include <fmt/format.h>

#include <algorithm>

#include "ridgeline/tools/doctor/machine_findings.h"

namespace ridgeline::doctor {
namespace {

constexpr double kGB = 1e9;

Finding memory(const MachineFacts& f) {
  Finding x{.what = "memory"};
  const auto total = static_cast<double>(f.memory.total_bytes),
             available = static_cast<double>(f.memory.available_bytes);
  x.found = fmt::format("{} free of {}", bytes_text(available), bytes_text(total));
  if (total <= 0) {
    x.severity = Severity::kWarning;
    x.found = "unknown";
    x.advice = "/proc/meminfo cannot be read, so that a model that is too large is not refused.";
  } else if (available < total / 4) {
    x.severity = Severity::kAdvice;
    x.advice = "Other programs hold most of it.";
    x.command = "ps -eo rss,pid,args --sort=-rss | head";
  }
  return x;
}

Finding memory_limit(const MachineFacts& f) {
  Finding x{.what = "memory limit"};
  const auto least = std::ranges::min_element(f.cgroup_memory, {}, &CgroupMemory::limit_bytes);
  if (least == f.cgroup_memory.end() || least->limit_bytes >= f.machine_memory_bytes) {
    x.found = "none below the machine's memory";
    return x;
  }
  x.found = fmt::format("{} of the machine's {} ({}); Ridgeline plans within it",
                        bytes_text(static_cast<double>(least->limit_bytes)),
                        bytes_text(static_cast<double>(f.machine_memory_bytes)), least->file);
  x.severity = Severity::kAdvice;
  x.advice = "What goes beyond the limit is killed, so it bounds model and context.";
  const std::string& container = f.virtualization.container;
  if (container == "docker" || container == "podman")
    x.command = fmt::format("{} update --memory SIZE --memory-swap SIZE CONTAINER", container);
  else if (container == "kubernetes")
    x.command = "resources: {limits: {memory: SIZE}}";
  else if (least->file.find(".service") != std::string::npos)
    x.command = "systemctl set-property UNIT MemoryMax=SIZE";
  else
    x.command = fmt::format("echo SIZE > {}", least->file);
  return x;
}

Finding huge_pages(const MachineFacts& f, const MachineSpeed& speed) {
  Finding x{.what = "huge pages"};
  using Mode = HugePages::Mode;
  const char* mode = f.huge_pages.mode == Mode::kAlways    ? "always"
                     : f.huge_pages.mode == Mode::kMadvise ? "madvise"
                     : f.huge_pages.mode == Mode::kNever   ? "never"
                                                           : "not in this kernel";
  x.found = fmt::format("transparent: {}", mode);
  if (speed.huge_share_known)
    x.found += fmt::format("; of memory that Ridgeline asked for {:.0f} % are huge",
                           100 * speed.huge_share);
  // Measured with the prctl below, and for packed files (ARCHITECTURE.md).
  constexpr const char* kCost =
      "From small pages of 4 KiB prefill is a sixth slower, decoding up to a quarter.";
  if (!f.huge_pages.process_may) {
    x.severity = Severity::kWarning;
    x.found += "; switched off for this process (prctl PR_SET_THP_DISABLE)";
    x.advice = fmt::format("{} Start Ridgeline from another parent.", kCost);
  } else if (!f.huge_pages.given()) {
    x.severity = Severity::kWarning;
    x.advice = kCost;
    if (f.huge_pages.mode == Mode::kNever)
      x.command = "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled";
  } else if (speed.huge_share_known && speed.huge_share < 0.5) {
    x.severity = Severity::kAdvice;
    x.advice = fmt::format("{} The system has none at hand: its memory is in pieces.", kCost);
    x.command = "echo 1 | sudo tee /proc/sys/vm/compact_memory";
  }
  return x;
}

Finding reserved_pages(const MachineFacts& f) {
  Finding x{.what = "reserved huge pages"};
  x.found = fmt::format("{} (hugetlbfs), which Ridgeline does not use",
                        bytes_text(static_cast<double>(f.huge_pages.reserved_bytes)));
  if (static_cast<double>(f.huge_pages.reserved_bytes) <
      0.05 * static_cast<double>(f.machine_memory_bytes))
    return x;
  x.severity = Severity::kAdvice;
  x.advice = "That memory is lost to models; transparent huge pages need no reservation.";
  x.command = "sudo sysctl vm.nr_hugepages=0";
  return x;
}

Finding swap(const MachineFacts& f) {
  Finding x{.what = "swap"};
  const auto total = static_cast<double>(f.swap.total_bytes),
             used = static_cast<double>(f.swap.used_bytes);
  if (total == 0) {
    x.found = "none";
    return x;
  }
  x.found = fmt::format("{} of {} in use", bytes_text(used), bytes_text(total));
  if (f.swap.swappiness) x.found += fmt::format(", swappiness {}", *f.swap.swappiness);
  constexpr double kSomething = 64 << 20;
  if (used > kSomething && used > 0.02 * static_cast<double>(f.machine_memory_bytes)) {
    x.severity = Severity::kWarning;
    x.advice =
        "Memory was short. Decoding reads every weight for every token: what is on disk is fetched "
        "each time.";
    x.command = used < static_cast<double>(f.memory.available_bytes)
                    ? "sudo swapoff -a && sudo swapon -a"
                    : "free -m";
  } else if (f.swap.swappiness.value_or(0) > 10) {
    x.severity = Severity::kAdvice;
    x.advice = "Weights of an idle model are moved to disk rather than page cache dropped.";
    x.command = "sudo sysctl vm.swappiness=1";
  }
  return x;
}

/// What was measured is a finding, too.
Finding bandwidth(const MachineFacts& f, const MachineSpeed& speed) {
  Finding x{.what = "memory bandwidth"};
  const double one = speed.one_thread.read_bytes_per_second,
               all = speed.all_threads.read_bytes_per_second;
  if (all <= 0) {
    x.severity = Severity::kAdvice;
    x.found = "not measured: too little memory is free";
    x.advice = "Without it nothing is predicted about reading weights.";
    return x;
  }
  x.found =
      fmt::format("{:.1f} GB/s by one thread, {:.1f} GB/s by {}", one / kGB, all / kGB, f.threads);
  if (f.threads > 1 && all < 0.9 * one) {
    x.severity = Severity::kAdvice;
    x.advice =
        "All threads together read no faster than one: something else uses the memory or "
        "the cores.";
    x.command = "ridgeline doctor";
  }
  return x;
}

Finding peaks(const MachineFacts& f, const MachineSpeed& speed) {
  Finding x{.what = "arithmetic"};
  constexpr std::array kKinds{std::pair{Arithmetic::kF32, "f32"},
                              std::pair{Arithmetic::kBF16, "bf16"},
                              std::pair{Arithmetic::kInt8, "int8"}};
  for (const auto& [kind, name] : kKinds)
    if (const double peak = speed.all_threads.peak(kind); peak > 0)
      x.found += fmt::format("{}{} {:.0f} GOP/s", x.found.empty() ? "" : ", ", name, peak / kGB);
  x.found += fmt::format(", by {} threads in registers", f.threads);
  return x;
}

}  // namespace

std::vector<Finding> memory_findings(const MachineFacts& f, const MachineSpeed& speed) {
  std::vector<Finding> list{memory(f), memory_limit(f), huge_pages(f, speed)};
  if (f.huge_pages.reserved_bytes > 0) list.push_back(reserved_pages(f));
  list.push_back(swap(f));
  list.push_back(bandwidth(f, speed));
  list.push_back(peaks(f, speed));
  return list;
}

}  // namespace ridgeline::doctor
