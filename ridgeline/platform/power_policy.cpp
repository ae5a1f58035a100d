#include "ridgeline/platform/power_policy.h"

#include <algorithm>
#include <set>

#include "ridgeline/platform/system_file.h"

namespace ridgeline {
namespace {

std::string joined(const std::set<std::string>& values) {
  std::string text;
  for (const std::string& value : values) text += (text.empty() ? "" : ", ") + value;
  return text;
}

}  // namespace

bool PowerPolicy::hardware_decides() const {
  // Documentation/admin-guide/pm/{intel_pstate,amd-pstate}.rst: in their active modes these
  // drivers have governors of the same names that only set a hint.
  return driver == "intel_pstate" || driver == "amd-pstate-epp" || driver == "amd_pstate_epp";
}

PowerPolicy read_power_policy(const std::string& root, const std::vector<int>& cpus) {
  const std::string cpu_root = root + "/sys/devices/system/cpu/";
  PowerPolicy policy;
  std::set<std::string> drivers, governors, preferences;
  for (const int cpu : cpus) {
    const std::string folder = cpu_root + "cpu" + std::to_string(cpu) + "/cpufreq/";
    const auto collect = [&](const char* file, std::set<std::string>& into) {
      const std::string text = read_system_file(folder + file);
      if (const std::string_view value = trimmed(text); !value.empty()) into.emplace(value);
    };
    collect("scaling_driver", drivers);
    collect("scaling_governor", governors);
    collect("energy_performance_preference", preferences);
    const auto khz = [&](const char* file) {
      return leading_number(read_system_file(folder + file)).value_or(0);
    };
    policy.max_khz = std::max(policy.max_khz, khz("scaling_max_freq"));
    policy.hardware_max_khz = std::max(policy.hardware_max_khz, khz("cpuinfo_max_freq"));
  }
  policy.driver = joined(drivers);
  policy.governor = joined(governors);
  policy.preference = joined(preferences);
  if (const auto boost = leading_number(read_system_file(cpu_root + "cpufreq/boost")))
    policy.turbo = *boost != 0;
  if (const auto off = leading_number(read_system_file(cpu_root + "intel_pstate/no_turbo")))
    policy.turbo = *off == 0;
  return policy;
}

}  // namespace ridgeline
