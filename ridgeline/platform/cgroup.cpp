#include "ridgeline/platform/cgroup.h"

#include <algorithm>

#include "ridgeline/platform/system_file.h"

namespace ridgeline {
namespace {

bool contains_item(std::string_view comma_list, std::string_view item) {
  while (!comma_list.empty()) {
    if (take_until(comma_list, ',') == item) return true;
  }
  return false;
}

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

}  // namespace

/// Formats: cgroups(7) for /proc/self/cgroup, proc(5) for mountinfo.
CgroupFolders cgroup_folders(const std::string& root, std::string_view controller) {
  const std::string cgroup_text = read_system_file(root + "/proc/self/cgroup");
  std::optional<std::string_view> v1_path;
  std::optional<std::string_view> v2_path;
  for (std::string_view rest = cgroup_text; !rest.empty();) {
    std::string_view line = take_until(rest, '\n');
    const std::string_view hierarchy = take_until(line, ':');
    const std::string_view controllers = take_until(line, ':');
    if (hierarchy == "0" && controllers.empty()) v2_path = line;
    if (contains_item(controllers, controller)) v1_path = line;
  }

  const std::string mounts = read_system_file(root + "/proc/self/mountinfo");
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

CgroupCpu read_cgroup_cpu(const std::string& root) {
  const CgroupFolders cgroup = cgroup_folders(root, "cpu");
  CgroupCpu least;
  for (const std::string& folder : cgroup.folders) {
    std::optional<std::uint64_t> quota;   // microseconds of CPU time
    std::optional<std::uint64_t> period;  // per microseconds of time
    const std::string file = folder + (cgroup.v2 ? "/cpu.max" : "/cpu.cfs_quota_us");
    const std::string text = read_system_file(file);
    if (cgroup.v2) {
      std::string_view rest = text;
      quota = leading_number(take_until(rest, ' '));  // "max" is none
      period = leading_number(rest);
    } else {
      quota = leading_number(text);  // -1 is none
      period = leading_number(read_system_file(folder + "/cpu.cfs_period_us"));
    }
    if (!quota || !period || *quota == 0 || *period == 0) continue;
    const double cpus = static_cast<double>(*quota) / static_cast<double>(*period);
    if (least.cpus && *least.cpus <= cpus) continue;
    const std::string stat = read_system_file(folder + "/cpu.stat");
    least = {cpus, file.substr(root.size()), field(stat, "nr_periods").value_or(0),
             field(stat, "nr_throttled").value_or(0)};
  }
  return least;
}

std::vector<CgroupMemory> read_cgroup_memory(const std::string& root) {
  const CgroupFolders cgroup = cgroup_folders(root, "memory");
  const bool v2 = cgroup.v2;
  std::vector<CgroupMemory> limits;
  for (const std::string& folder : cgroup.folders) {
    const auto number = [&](const char* name) {
      return leading_number(read_system_file(folder + name));
    };
    const char* file = v2 ? "/memory.max" : "/memory.limit_in_bytes";
    std::optional<std::uint64_t> limit = number(file);
    if (v2) {
      // Above memory.high the kernel throttles the process until it is of no use.
      if (const auto high = number("/memory.high"); high && *high <= limit.value_or(*high)) {
        limit = high;
        file = "/memory.high";
      }
    }
    // No limit is "max" in version 2 and a number near 2^63 in version 1.
    constexpr std::uint64_t kUnlimited = std::uint64_t{1} << 62;
    if (!limit || *limit >= kUnlimited) continue;
    const std::uint64_t used =
        number(v2 ? "/memory.current" : "/memory.usage_in_bytes").value_or(0);
    const std::string stat = read_system_file(folder + "/memory.stat");
    const std::uint64_t cache =
        field(stat, v2 ? "inactive_file" : "total_inactive_file").value_or(0) +
        field(stat, v2 ? "active_file" : "total_active_file").value_or(0);
    limits.push_back({*limit, used - std::min(used, cache), (folder + file).substr(root.size())});
  }
  return limits;
}

}  // namespace ridgeline
