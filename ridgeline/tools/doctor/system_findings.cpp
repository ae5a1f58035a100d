#include <fmt/format.h>

#include "ridgeline/tools/doctor/machine_findings.h"

namespace ridgeline::doctor {
namespace {

Finding governor(const MachineFacts& f) {
  Finding x{.what = "power governor"};
  const PowerPolicy& p = f.power;
  if (p.governor.empty()) {
    x.found = f.virtualization.is_virtual_machine ? "the host's, not visible here"
                                                  : "none: the firmware decides";
    return x;
  }
  x.found = fmt::format("{} ({})", p.governor, p.driver.empty() ? "unknown driver" : p.driver);
  if (!p.preference.empty()) x.found += fmt::format(", preference {}", p.preference);
  const bool slow = p.hardware_decides() ? p.preference.find("power") != std::string::npos
                                         : p.governor != "performance";
  if (slow) {
    // ondemand, schedutil and conservative reach full speed under steady load; powersave does not.
    const bool never_fast =
        !p.hardware_decides() && p.governor.find("powersave") != std::string::npos;
    x.severity = never_fast ? Severity::kWarning : Severity::kAdvice;
    x.advice = never_fast
                   ? "Cores stay at their lowest frequency: prefill takes several times as long."
                   : "Frequencies rise only after a while, which first tokens pay for.";
    x.command = "sudo cpupower frequency-set -g performance";
  } else if (p.max_khz > 0 && p.max_khz < p.hardware_max_khz) {
    x.severity = Severity::kAdvice;
    x.advice = fmt::format("Frequencies are limited to {:.1f} of {:.1f} GHz.",
                           static_cast<double>(p.max_khz) * 1e-6,
                           static_cast<double>(p.hardware_max_khz) * 1e-6);
    x.command = fmt::format("sudo cpupower frequency-set -u {}kHz", p.hardware_max_khz);
  }
  return x;
}

Finding turbo(const MachineFacts& f) {
  Finding x{.what = "turbo"};
  x.found = *f.power.turbo ? "on" : "off";
  if (*f.power.turbo) return x;
  x.severity = Severity::kAdvice;
  x.advice = "Cores stay at their base frequency, which prefill feels; decoding waits for memory.";
  x.command = f.power.driver == "intel_pstate"
                  ? "echo 0 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo"
                  : "echo 1 | sudo tee /sys/devices/system/cpu/cpufreq/boost";
  return x;
}

Finding load(const MachineFacts& f) {
  Finding x{.what = "load"};
  x.found = fmt::format("others use {:.0f} % of the CPUs at this moment", 100 * f.use.busy);
  if (f.load_average) x.found += fmt::format("; load average {:.1f}", *f.load_average);
  if (f.use.busy > 0.1) {
    x.severity = f.use.busy > 0.3 ? Severity::kWarning : Severity::kAdvice;
    x.advice =
        "Decoding loses about twice what others take, since threads wait for the one that lost its "
        "core; what is measured below is disturbed, too.";
    x.command = "top -b -n 1 | head -15";
  }
  return x;
}

Finding virtualization(const MachineFacts& f) {
  Finding x{.what = "virtual machine"};
  const Virtualization& v = f.virtualization;
  x.found = v.is_virtual_machine
                ? fmt::format("yes{}", v.product.empty() ? "" : " (" + v.product + ")")
                : "no";
  if (!v.container.empty()) x.found += fmt::format("; in a container ({})", v.container);
  if (f.use.stolen > 0.02) {
    x.severity = Severity::kWarning;
    x.found += fmt::format("; the host took {:.0f} % of the CPU time", 100 * f.use.stolen);
    x.advice =
        "Other guests run on the same cores: no setting in here helps, a machine with dedicated "
        "cores does.";
  } else if (v.is_virtual_machine) {
    x.found += ". Memory bandwidth may differ from process to process by a factor of two";
  }
  return x;
}

Finding open_files(const MachineFacts& f) {
  Finding x{.what = "open files"};
  constexpr std::uint64_t kEnough = 4096;
  x.found = f.limits.open_files ? fmt::format("{}", *f.limits.open_files) : "no limit";
  if (!f.limits.open_files || *f.limits.open_files >= kEnough) return x;
  x.severity = Severity::kAdvice;
  x.advice = "Every connection of `ridgeline serve` is a file.";
  x.command = "ulimit -n 65536";
  return x;
}

Finding locked_memory(const MachineFacts& f) {
  Finding x{.what = "locked memory"};
  x.found = f.limits.locked_bytes
                ? fmt::format("up to {}", bytes_text(static_cast<double>(*f.limits.locked_bytes)))
                : "no limit";
  x.found += "; Ridgeline locks none";
  return x;
}

Finding address_space(const MachineFacts& f) {
  Finding x{.what = "address space"};
  x.found = fmt::format("limited to {}", bytes_text(static_cast<double>(*f.limits.address_bytes)));
  x.severity = Severity::kWarning;
  x.advice = "A model's file and its weights both count, so that half as large a model fits.";
  x.command = "ulimit -v unlimited";
  return x;
}

}  // namespace

std::vector<Finding> system_findings(const MachineFacts& f) {
  std::vector<Finding> list{governor(f)};
  if (f.power.turbo) list.push_back(turbo(f));
  list.push_back(load(f));
  list.push_back(virtualization(f));
  list.push_back(open_files(f));
  list.push_back(locked_memory(f));
  if (f.limits.address_bytes) list.push_back(address_space(f));
  return list;
}

std::vector<Finding> machine_findings(const MachineFacts& f, const MachineSpeed& speed) {
  std::vector<Finding> all = processor_findings(f);
  for (const auto& more : {memory_findings(f, speed), system_findings(f)})
    all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace ridgeline::doctor
