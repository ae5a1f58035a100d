#include "ridgeline/platform/topology.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "ridgeline/platform/topology_reader.h"

// From /proc and /sys by hand rather than by hwloc, which takes 23 to 39 ms to load on
// a machine of two CPUs: longer than the first token of a small model.

namespace ridgeline {
namespace {

constexpr std::size_t kSystemFileBytesMax = std::size_t{1} << 20;

/// The file's text; empty if there is none (a kernel without that controller).
std::string read_text(const std::string& path) {
  std::string text;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return text;
  char chunk[4096];
  while (text.size() < kSystemFileBytesMax) {
    const ssize_t got = ::read(fd, chunk, sizeof chunk);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    text.append(chunk, static_cast<std::size_t>(got));
  }
  ::close(fd);
  return text;
}

/// Cuts `text` at the first `separator` and returns what stood before it.
std::string_view take_until(std::string_view& text, char separator) {
  const std::size_t end = text.find(separator);
  const std::string_view head = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return head;
}

std::string_view trimmed(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\n' || c == '\t'; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

/// The number that `text` begins with.
std::optional<std::uint64_t> leading_number(std::string_view text) {
  text = trimmed(text);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  return value;
}

/// The number after `key` in a file of lines "key value" or "key: value unit".
std::optional<std::uint64_t> field(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    std::string_view line = take_until(text, '\n');
    if (!line.starts_with(key)) continue;
    line.remove_prefix(key.size());
    if (line.starts_with(':')) line.remove_prefix(1);
    if (line.starts_with(' ') || line.starts_with('\t')) return leading_number(line);
  }
  return std::nullopt;
}

bool contains_item(std::string_view comma_list, std::string_view item) {
  while (!comma_list.empty()) {
    if (take_until(comma_list, ',') == item) return true;
  }
  return false;
}

/// A cgroup's folder and those above it, as far as this mount shows them. A limit of
/// any of them binds. Empty if the controller is not mounted.
struct CgroupFolders {
  std::vector<std::string> folders;
  bool v2 = false;
};

/// "/a/b" as seen through a mount that shows "/a" as its root is "/b". A process may sit
/// outside of what its container shows ("/../x"); then only the mount's root is known.
std::string path_inside_mount(std::string_view path, std::string_view mount_root) {
  if (mount_root != "/") {
    const bool inside = path.starts_with(mount_root) &&
                        (path.size() == mount_root.size() || path[mount_root.size()] == '/');
    if (!inside) return {};
    path.remove_prefix(mount_root.size());
  }
  if (path.find("..") != std::string_view::npos) return {};
  while (path.ends_with('/')) path.remove_suffix(1);
  return std::string(path);
}

/// Formats: cgroups(7) for /proc/self/cgroup, proc(5) for mountinfo.
CgroupFolders cgroup_folders(const std::string& root, std::string_view controller) {
  const std::string cgroup_text = read_text(root + "/proc/self/cgroup");
  std::optional<std::string_view> v1_path;
  std::optional<std::string_view> v2_path;
  for (std::string_view rest = cgroup_text; !rest.empty();) {
    std::string_view line = take_until(rest, '\n');
    const std::string_view hierarchy = take_until(line, ':');
    const std::string_view controllers = take_until(line, ':');
    if (hierarchy == "0" && controllers.empty()) v2_path = line;
    if (contains_item(controllers, controller)) v1_path = line;
  }

  const std::string mounts = read_text(root + "/proc/self/mountinfo");
  for (std::string_view rest = mounts; !rest.empty();) {
    std::string_view line = take_until(rest, '\n');
    for (int skipped = 0; skipped < 3; ++skipped) take_until(line, ' ');
    const std::string_view mount_root = take_until(line, ' ');
    const std::string_view mount_point = take_until(line, ' ');
    const std::size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    line.remove_prefix(dash + 3);
    const std::string_view type = take_until(line, ' ');
    take_until(line, ' ');
    const bool v1 = type == "cgroup" && contains_item(line, controller);
    const bool v2 = type == "cgroup2";
    // A controller belongs to one hierarchy: to the first, if version 1 has it.
    const auto path = v1 ? v1_path : v2 && !v1_path ? v2_path : std::nullopt;
    if (!path) continue;

    CgroupFolders found;
    found.v2 = v2;
    const std::string top = root + std::string(mount_point);
    std::string inside = path_inside_mount(*path, mount_root);
    while (!inside.empty()) {
      found.folders.push_back(top + inside);
      inside.resize(inside.rfind('/'));
    }
    found.folders.push_back(top);
    return found;
  }
  return {};
}

std::optional<double> cpu_quota(const std::string& root) {
  const CgroupFolders cgroup = cgroup_folders(root, "cpu");
  std::optional<double> least;
  for (const std::string& folder : cgroup.folders) {
    std::optional<std::uint64_t> quota;   // microseconds of CPU time
    std::optional<std::uint64_t> period;  // per microseconds of time
    if (cgroup.v2) {
      const std::string text = read_text(folder + "/cpu.max");
      std::string_view rest = text;
      quota = leading_number(take_until(rest, ' '));  // "max" is none
      period = leading_number(rest);
    } else {
      quota = leading_number(read_text(folder + "/cpu.cfs_quota_us"));  // -1 is none
      period = leading_number(read_text(folder + "/cpu.cfs_period_us"));
    }
    if (!quota || !period || *quota == 0 || *period == 0) continue;
    const double cpus = static_cast<double>(*quota) / static_cast<double>(*period);
    least = std::min(least.value_or(cpus), cpus);
  }
  return least;
}

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
    const auto level = leading_number(read_text(folder + "level"));
    if (!level) return;
    if (trimmed(read_text(folder + "type")) == "Instruction") continue;
    const std::size_t bytes = cache_bytes(read_text(folder + "size"));
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

/// What is left below a cgroup's limit. Its page cache counts as left: the kernel
/// drops it before it runs out.
void apply_memory_limit(const std::string& folder, bool v2, MemoryInfo& info) {
  const auto number = [&](const char* name) { return leading_number(read_text(folder + name)); };
  std::optional<std::uint64_t> limit = number(v2 ? "/memory.max" : "/memory.limit_in_bytes");
  if (v2) {
    // Above memory.high the kernel throttles the process until it is of no use.
    if (const auto high = number("/memory.high")) {
      limit = std::min(limit.value_or(*high), *high);
    }
  }
  // No limit is "max" in version 2 and a number near 2^63 in version 1.
  constexpr std::uint64_t kUnlimited = std::uint64_t{1} << 62;
  if (!limit || *limit >= kUnlimited) return;
  const std::uint64_t used = number(v2 ? "/memory.current" : "/memory.usage_in_bytes").value_or(0);
  const std::string stat = read_text(folder + "/memory.stat");
  const std::uint64_t cache =
      field(stat, v2 ? "inactive_file" : "total_inactive_file").value_or(0) +
      field(stat, v2 ? "active_file" : "total_active_file").value_or(0);
  const std::uint64_t held = used - std::min(used, cache);
  info.total_bytes = std::min(info.total_bytes, *limit);
  info.available_bytes = std::min(info.available_bytes, *limit - std::min(*limit, held));
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
        read_text(fmt::format("{}{}/topology/thread_siblings_list", cpu_root, cpu));
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
  for (const int node : parse_cpu_list(read_text(node_root + "online"))) {
    const auto cpus = parse_cpu_list(read_text(fmt::format("{}node{}/cpulist", node_root, node)));
    nodes +=
        std::any_of(cpus.begin(), cpus.end(), [&](int cpu) { return contains(allowed_cpus, cpu); });
  }
  machine.numa_nodes = std::max(1, nodes);
  machine.cpu_quota = cpu_quota(root);
  return machine;
}

MemoryInfo read_memory_info(const std::string& root) {
  MemoryInfo info;
  const std::string text = read_text(root + "/proc/meminfo");
  info.total_bytes = field(text, "MemTotal").value_or(0) << 10;
  info.available_bytes = field(text, "MemAvailable").value_or(0) << 10;
  const CgroupFolders cgroup = cgroup_folders(root, "memory");
  for (const std::string& folder : cgroup.folders) apply_memory_limit(folder, cgroup.v2, info);
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
  const std::string text = read_text("/proc/self/statm");
  std::string_view rest = text;
  take_until(rest, ' ');
  return leading_number(rest).value_or(0) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::uint64_t peak_resident_bytes() {
  // Not getrusage(): ru_maxrss survives exec, so it may be the parent's peak.
  return field(read_text("/proc/self/status"), "VmHWM").value_or(0) << 10;
}

}  // namespace ridgeline
