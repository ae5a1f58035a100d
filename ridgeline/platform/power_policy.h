#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ridgeline {

/// Who decides how fast the cores run. All empty in most virtual machines, where the host does.
struct PowerPolicy {
  std::string driver;      ///< "acpi-cpufreq", "intel_pstate", "amd-pstate-epp"
  std::string governor;    ///< of the CPUs asked about; several, if they differ: "powersave, ..."
  std::string preference;  ///< energy_performance_preference, where the driver has one
  std::optional<bool> turbo;  ///< whether cores may go above their base frequency
  std::uint64_t max_khz = 0;  ///< the limit that is set, of the fastest of them
  std::uint64_t hardware_max_khz = 0;

  bool known() const { return !governor.empty() || turbo.has_value(); }
  /// Does the hardware choose the frequency, so that "powersave" does not mean slow?
  bool hardware_decides() const;
};
PowerPolicy read_power_policy(const std::string& root, const std::vector<int>& cpus);

}  // namespace ridgeline
