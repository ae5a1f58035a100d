#include "ridgeline/platform/topology.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "ridgeline/platform/cgroup.h"
#include "ridgeline/platform/system_file.h"
#include "ridgeline/platform/topology_reader.h"

// From /proc and /sys by hand rather than by hwloc, which takes 23 to 39 ms to load on
// a machine of two CPUs: longer than the first token of a small model.

namespace ridgeline {
namespace {

std::uint64_t cache_bytes(std::string_view size) {
  const std::uint64_t value = leading_number(size).value_or(0);
  size = trimmed(size);
  if (size.ends_with('K')) return value << 10;
  if (size.ends_with('M')) return value << 20;
  return value;
}

void read_caches(const std::string& cpu_folder, Topology& machine) {
  constexpr int kCachesMax = 16;
  for (int index = 0; index < kCachesMax; ++index) {
    const std::string folder = fmt::format("{}/cache/index{}/", cpu_folder, index);
    const auto level = leading_number(read_system_file(folder + "level"));
    if (!level) return;
    if (trimmed(read_system_file(folder + "type")) == "Instruction") continue;
    const std::size_t bytes = cache_bytes(read_system_file(folder + "size"));
    if (*level == 1) machine.l1d_bytes = bytes;
    if (*level == 2) machine.l2_bytes = bytes;
    if (*level == 3) machine.l3_bytes = bytes;
  }
}

/// CPUs that this thread may run on, ascending.
std::vector<int> allowed_cpus() {
  constexpr std::size_t kWordBits = 8 * sizeof(unsigned long);
  constexpr std::size_t kCpusMax = std::size_t{1} << 16;
  std::vector<int> cpus;
  for (std::size_t count = 1024; count <= kCpusMax; count *= 2) {
    std::vector<unsigned long> words(count / kWordBits);
    auto* set = reinterpret_cast<cpu_set_t*>(words.data());
    if (::sched_getaffinity(0, count / 8, set) != 0) {
      if (errno == EINVAL) continue;  // the kernel's mask is wider
      break;
    }
    for (std::size_t cpu = 0; cpu < count; ++cpu) {
      if (CPU_ISSET_S(cpu, count / 8, set)) cpus.push_back(static_cast<int>(cpu));
    }
    return cpus;
  }
  const int online = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  for (int cpu = 0; cpu < online; ++cpu) cpus.push_back(cpu);
  return cpus;
}

}  // namespace

std::vector<int> parse_cpu_list(std::string_view text) {
  constexpr std::uint64_t kCpusMax = 1 << 16;
  std::vector<int> cpus;
  text = trimmed(text);
  while (!text.empty()) {
    std::string_view range = take_until(text, ',');
    const auto first = leading_number(take_until(range, '-'));
    const auto last = range.empty() ? first : leading_number(range);
    if (!first || !last || *first > *last || *last >= kCpusMax) break;
    for (std::uint64_t cpu = *first; cpu <= *last; ++cpu) cpus.push_back(static_cast<int>(cpu));
  }
  return cpus;
}

Topology read_topology(const std::string& root, const std::vector<int>& allowed_cpus) {
  const std::string cpu_root = root + "/sys/devices/system/cpu/cpu";
  const auto contains = [](const std::vector<int>& sorted, int cpu) {
    return std::binary_search(sorted.begin(), sorted.end(), cpu);
  };
  Topology machine;

  // A core is named by its first allowed sibling; the others are read there, too, so
  // that a core costs one file however many threads it has.
  std::vector<int> siblings;
  std::vector<int> later;
  for (const int cpu : allowed_cpus) {
    if (std::find(siblings.begin(), siblings.end(), cpu) != siblings.end()) {
      later.push_back(cpu);
      continue;
    }
    machine.usable_cpus.push_back(cpu);
    const std::string list =
        read_system_file(fmt::format("{}{}/topology/thread_siblings_list", cpu_root, cpu));
    for (const int sibling : parse_cpu_list(list)) {
      if (sibling != cpu) siblings.push_back(sibling);
    }
  }
  machine.physical_cores = std::max(1, static_cast<int>(machine.usable_cpus.size()));
  machine.usable_cpus.insert(machine.usable_cpus.end(), later.begin(), later.end());

  if (!machine.usable_cpus.empty()) {
    read_caches(cpu_root + std::to_string(machine.usable_cpus.front()), machine);
  }
  const std::string node_root = root + "/sys/devices/system/node/";
  int nodes = 0;
  for (const int node : parse_cpu_list(read_system_file(node_root + "online"))) {
    const auto cpus =
        parse_cpu_list(read_system_file(fmt::format("{}node{}/cpulist", node_root, node)));
    nodes +=
        std::any_of(cpus.begin(), cpus.end(), [&](int cpu) { return contains(allowed_cpus, cpu); });
  }
  machine.numa_nodes = std::max(1, nodes);
  machine.cpu_quota = read_cgroup_cpu(root).cpus;
  return machine;
}

MemoryInfo read_memory_info(const std::string& root) {
  MemoryInfo info;
  const std::string text = read_system_file(root + "/proc/meminfo");
  info.total_bytes = field(text, "MemTotal").value_or(0) << 10;
  info.available_bytes = field(text, "MemAvailable").value_or(0) << 10;
  for (const CgroupMemory& cgroup : read_cgroup_memory(root)) {
    info.total_bytes = std::min(info.total_bytes, cgroup.limit_bytes);
    info.available_bytes = std::min(
        info.available_bytes, cgroup.limit_bytes - std::min(cgroup.limit_bytes, cgroup.held_bytes));
  }
  return info;
}

int Topology::default_threads() const {
  int threads = physical_cores;
  if (cpu_quota)
    threads = std::min(threads, static_cast<int>(std::ceil(std::min(*cpu_quota, 1e6))));
  return std::max(1, threads);
}

const Topology& topology() {
  static const Topology machine = read_topology("", allowed_cpus());
  return machine;
}

MemoryInfo memory_info() { return read_memory_info(""); }

std::uint64_t resident_bytes() {
  const std::string text = read_system_file("/proc/self/statm");
  std::string_view rest = text;
  take_until(rest, ' ');
  return leading_number(rest).value_or(0) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::uint64_t peak_resident_bytes() {
  // Not getrusage(): ru_maxrss survives exec, so it may be the parent's peak.
  return field(read_system_file("/proc/self/status"), "VmHWM").value_or(0) << 10;
}

}  // namespace ridgeline
