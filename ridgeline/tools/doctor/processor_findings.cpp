#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ridgeline/tools/doctor/machine_findings.h"

namespace ridgeline::doctor {
namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::string plural(int n, const char* one, const char* many) {
  return fmt::format("{} {}", n, n == 1 ? one : many);
}

/// What a better instruction set than the best that runs here would need.
std::string lacking(const CpuFeatures& cpu) {
  if (!cpu.avx2 || !cpu.fma || !cpu.f16c) return "AVX2, FMA or F16C";
  if (!cpu.avx512) return cpu.avx_vnni ? "AVX-512" : "AVX-512 and AVX-VNNI";
  if (!cpu.avx512_vnni) return "AVX-512 VNNI";
  return "AVX-512 BF16";
}

Finding instruction_set(const MachineFacts& f) {
  Finding x{.what = "instruction set"};
  x.found = fmt::format("{}, of {} that run here", f.isa, joined(f.isas));
  if (f.isa_is_forced && f.isa != f.isas.front()) {
    x.severity = Severity::kWarning;
    x.advice = fmt::format("RIDGELINE_ISA holds Ridgeline back from {}.", f.isas.front());
    x.command = "unset RIDGELINE_ISA";
    return x;
  }
  if (f.isa == f.built_isas.front()) return x;
  x.found +=
      fmt::format("; {} is not used: the CPU lacks {}", f.built_isas.front(), lacking(f.cpu));
  const bool basic = f.isa == "generic";
  if (!basic && !f.virtualization.is_virtual_machine) return x;
  x.severity = basic ? Severity::kWarning : Severity::kAdvice;
  x.advice = basic ? "Without AVX2 matrix products run in portable code, several times slower."
                   : "A virtual machine shows what its host lets it see.";
  if (f.virtualization.is_virtual_machine) {
    x.advice += " If the host's CPU has more, have it passed through.";
    x.command = "qemu-system-x86_64 -cpu host ...";
  }
  return x;
}

Finding cores(const MachineFacts& f) {
  const Topology& t = f.topology;
  const int siblings = static_cast<int>(t.usable_cpus.size()) - t.physical_cores;
  Finding x{.what = "cores"};
  x.found = fmt::format(
      "{}{}; caches: L1 {}, L2 {} a core, L3 {}", plural(t.physical_cores, "core", "cores"),
      siblings > 0 ? fmt::format(" of {} hardware threads (SMT, whose second "
                                 "threads are left idle)",
                                 t.usable_cpus.size())
                   : "",
      bytes_text(static_cast<double>(t.l1d_bytes)), bytes_text(static_cast<double>(t.l2_bytes)),
      bytes_text(static_cast<double>(t.l3_bytes)));
  return x;
}

Finding threads(const MachineFacts& f) {
  Finding x{.what = "threads"};
  const int cores = f.topology.physical_cores, fitting = f.topology.default_threads();
  x.found = plural(f.threads, "thread", "threads");
  if (f.threads == fitting) {
    x.found += f.threads == cores ? ", one on each core" : ", as the CPU quota allows";
  } else if (f.threads > fitting) {
    x.severity = Severity::kWarning;
    x.found += fmt::format(
        " on {}", fitting == cores ? plural(cores, "core", "cores")
                                   : fmt::format("a quota of {:g} CPUs", *f.topology.cpu_quota));
    // Three and four threads on two cores: 39 and 45 tokens a second, where two decode 60.
    x.advice =
        "Threads beyond the cores take turns while the others wait for them in every product: "
        "decoding loses a quarter to a third.";
    x.command = fmt::format("-t {}", fitting);
  } else {
    x.severity = Severity::kAdvice;
    x.found += fmt::format(" of {} possible", fitting);
    x.advice = "More would prefill faster; decoding gains as long as memory has more to give.";
    x.command = fmt::format("-t {}", fitting);
  }
  return x;
}

Finding affinity(const MachineFacts& f) {
  Finding x{.what = "CPU affinity"};
  const int usable = static_cast<int>(f.topology.usable_cpus.size());
  x.found = fmt::format("{} of {} CPUs; threads are bound to cores", usable, f.online_cpus);
  if (usable >= f.online_cpus) return x;
  x.severity = Severity::kAdvice;
  x.advice = fmt::format("This process is kept from {}, by taskset or a cpuset.",
                         plural(f.online_cpus - usable, "CPU", "CPUs"));
  const std::string& container = f.virtualization.container;
  if (container == "docker" || container == "podman")
    x.command = fmt::format("{} update --cpuset-cpus 0-{} CONTAINER", container, f.online_cpus - 1);
  else
    x.command = fmt::format("taskset -c 0-{} ridgeline ...", f.online_cpus - 1);
  return x;
}

std::string quota_command(const MachineFacts& f, int cpus) {
  const std::string& container = f.virtualization.container;
  if (container == "docker" || container == "podman")
    return fmt::format("{} update --cpus {} CONTAINER", container, cpus);
  if (container == "kubernetes") return fmt::format("resources: {{limits: {{cpu: {}}}}}", cpus);
  if (f.cgroup_cpu.file.find(".service") != std::string::npos)
    return fmt::format("systemctl set-property UNIT CPUQuota={}%", 100 * cpus);
  return fmt::format("echo {} > {}", f.cgroup_cpu.file.ends_with("cpu.max") ? "max" : "-1",
                     f.cgroup_cpu.file);
}

Finding quota(const MachineFacts& f) {
  Finding x{.what = "CPU quota"};
  const CgroupCpu& c = f.cgroup_cpu;
  if (!c.cpus) {
    x.found = "none";
    return x;
  }
  const double throttled =
      c.periods > 0 ? static_cast<double>(c.throttled_periods) / static_cast<double>(c.periods) : 0;
  x.found = fmt::format("{:g} CPUs ({}); Ridgeline takes {}", *c.cpus, c.file,
                        plural(f.topology.default_threads(), "thread", "threads"));
  if (throttled > 0.01)
    x.found += fmt::format("; stopped in {:.0f} % of all periods", 100 * throttled);
  if (*c.cpus >= f.topology.physical_cores && throttled <= 0.01) return x;
  x.severity = throttled > 0.01 ? Severity::kWarning : Severity::kAdvice;
  // Two threads under 1.5 CPUs decoded a third faster than one, and prefilled 1.45 times as fast.
  x.advice =
      *c.cpus == std::floor(*c.cpus)
          ? fmt::format("{} cores are there and {:g} may be used at a time.",
                        f.topology.physical_cores, *c.cpus)
          : "What is left of a core is still worth a thread, but all threads stop for a part of "
            "every period, so that tokens come in bursts. A whole number of CPUs has none of that.";
  x.command = quota_command(f, f.topology.physical_cores);
  return x;
}

Finding numa(const MachineFacts& f) {
  Finding x{.what = "NUMA"};
  const int nodes = f.topology.numa_nodes;
  x.found = plural(nodes, "node", "nodes");
  if (nodes <= 1) return x;
  x.severity = Severity::kAdvice;
  x.advice =
      "Ridgeline does not place weights by node: they lie where the threads that packed them ran. "
      "Spread them over all nodes, or keep to one.";
  x.command = "numactl --interleave=all ridgeline ...";
  return x;
}

}  // namespace

std::vector<Finding> processor_findings(const MachineFacts& f) {
  Finding cpu{.what = "processor"};
  cpu.found = f.cpu.brand.empty() ? "unnamed" : f.cpu.brand;
  return {cpu, instruction_set(f), cores(f), threads(f), affinity(f), quota(f), numa(f)};
}

}  // namespace ridgeline::doctor
