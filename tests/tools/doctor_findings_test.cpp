// What facts about machines that are not this one are said to mean.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ridgeline/tools/doctor/machine_findings.h"

namespace ridgeline::doctor {
namespace {

using testing::HasSubstr;
constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

/// A machine that nothing is wrong with.
MachineFacts sound_machine() {
  MachineFacts f;
  f.cpu.brand = "CPU";
  f.cpu.avx2 = f.cpu.fma = f.cpu.f16c = f.cpu.avx512 = f.cpu.avx512_vnni = f.cpu.avx512_bf16 = true;
  f.isas = f.built_isas = {"avx512bf16", "avx2", "generic"};
  f.isa = "avx512bf16";
  f.topology.usable_cpus = {0, 1, 2, 3};
  f.topology.physical_cores = 4;
  f.online_cpus = 4;
  f.threads = 4;
  f.memory = {16 * kGiB, 12 * kGiB};
  f.machine_memory_bytes = 16 * kGiB;
  f.huge_pages.mode = HugePages::Mode::kMadvise;
  f.limits.open_files = 65536;
  return f;
}
MachineSpeed sound_speed() {
  MachineSpeed s;
  s.one_thread.read_bytes_per_second = 20e9;
  s.all_threads.read_bytes_per_second = 40e9;
  s.all_threads.ops_per_second = {200e9, 0, 800e9};
  s.huge_share = 1;
  s.huge_share_known = true;
  return s;
}
Finding finding(const MachineFacts& f, const std::string& what,
                const MachineSpeed& speed = sound_speed()) {
  for (const Finding& x : machine_findings(f, speed))
    if (x.what == what) return x;
  ADD_FAILURE() << "no finding about " << what;
  return {};
}

TEST(Findings, ASoundMachineIsInOrder) {
  for (const Finding& x : machine_findings(sound_machine(), sound_speed())) {
    EXPECT_EQ(x.severity, Severity::kOk) << x.what;
    EXPECT_NE(x.found, "") << x.what;
    EXPECT_EQ(x.advice, "") << x.what;
    EXPECT_EQ(x.command, "") << x.what;
  }
}

TEST(Findings, ThreadsBeyondTheCoresOrTheQuota) {
  MachineFacts f = sound_machine();
  f.threads = 8;
  EXPECT_EQ(finding(f, "threads").severity, Severity::kWarning);
  EXPECT_EQ(finding(f, "threads").command, "-t 4");
  f.threads = 3;
  EXPECT_EQ(finding(f, "threads").severity, Severity::kAdvice);
  f.threads = 4;
  f.topology.cpu_quota = f.cgroup_cpu.cpus = 2;
  EXPECT_EQ(finding(f, "threads").severity, Severity::kWarning);
  EXPECT_THAT(finding(f, "threads").found, HasSubstr("quota of 2 CPUs"));
  EXPECT_EQ(finding(f, "threads").command, "-t 2");
}

TEST(Findings, AQuotaIsMendedWhereItWasSet) {
  MachineFacts f = sound_machine();
  f.topology.cpu_quota = f.cgroup_cpu.cpus = 2;
  f.threads = 2;
  f.cgroup_cpu.file = "/sys/fs/cgroup/a/cpu.max";
  EXPECT_EQ(finding(f, "CPU quota").severity, Severity::kAdvice);
  EXPECT_EQ(finding(f, "CPU quota").command, "echo max > /sys/fs/cgroup/a/cpu.max");
  f.virtualization.container = "docker";
  EXPECT_EQ(finding(f, "CPU quota").command, "docker update --cpus 4 CONTAINER");
  f.virtualization.container = "kubernetes";
  EXPECT_EQ(finding(f, "CPU quota").command, "resources: {limits: {cpu: 4}}");
  f.cgroup_cpu.cpus = 1.5;
  EXPECT_THAT(finding(f, "CPU quota").advice, HasSubstr("whole number"));
  f.cgroup_cpu = {4.0, "/x", 100, 50};
  EXPECT_EQ(finding(f, "CPU quota").severity, Severity::kWarning);
  EXPECT_THAT(finding(f, "CPU quota").found, HasSubstr("50 % of all periods"));
}

TEST(Findings, WhyNotABetterInstructionSet) {
  MachineFacts f = sound_machine();
  f.isas = {"avx2", "generic"};
  f.isa = "avx2";
  f.cpu.avx512 = f.cpu.avx512_vnni = f.cpu.avx512_bf16 = false;
  EXPECT_EQ(finding(f, "instruction set").severity, Severity::kOk);
  EXPECT_THAT(finding(f, "instruction set").found, HasSubstr("lacks AVX-512"));
  f.virtualization.is_virtual_machine = true;
  EXPECT_EQ(finding(f, "instruction set").severity, Severity::kAdvice);
  f.isas = {"generic"};
  f.isa = "generic";
  f.cpu.avx2 = false;
  EXPECT_EQ(finding(f, "instruction set").severity, Severity::kWarning);
  f = sound_machine();
  f.isa = "avx2";
  f.isa_is_forced = true;
  EXPECT_EQ(finding(f, "instruction set").command, "unset RIDGELINE_ISA");
}

TEST(Findings, MemoryThatIsSmallPagedOrGone) {
  MachineFacts f = sound_machine();
  f.huge_pages.mode = HugePages::Mode::kNever;
  EXPECT_EQ(finding(f, "huge pages").severity, Severity::kWarning);
  EXPECT_THAT(finding(f, "huge pages").command, HasSubstr("echo madvise"));
  f = sound_machine();
  f.huge_pages.process_may = false;
  EXPECT_EQ(finding(f, "huge pages").severity, Severity::kWarning);
  MachineSpeed scattered = sound_speed();
  scattered.huge_share = 0.1;
  EXPECT_EQ(finding(sound_machine(), "huge pages", scattered).severity, Severity::kAdvice);
  f = sound_machine();
  f.huge_pages.reserved_bytes = 4 * kGiB;
  EXPECT_EQ(finding(f, "reserved huge pages").severity, Severity::kAdvice);
  f.memory.available_bytes = kGiB;
  EXPECT_EQ(finding(f, "memory").severity, Severity::kAdvice);
  f.cgroup_memory = {{2 * kGiB, kGiB, "/sys/fs/cgroup/memory.max"}};
  EXPECT_EQ(finding(f, "memory limit").severity, Severity::kAdvice);
  EXPECT_EQ(finding(f, "memory limit").command, "echo SIZE > /sys/fs/cgroup/memory.max");
  f.cgroup_memory = {{64 * kGiB, kGiB, "/sys/fs/cgroup/memory.max"}};
  EXPECT_EQ(finding(f, "memory limit").severity, Severity::kOk);
}

TEST(Findings, Swap) {
  MachineFacts f = sound_machine();
  f.swap = {4 * kGiB, 0, 60};
  EXPECT_EQ(finding(f, "swap").severity, Severity::kAdvice);
  f.swap.swappiness = 1;
  EXPECT_EQ(finding(f, "swap").severity, Severity::kOk);
  f.swap.used_bytes = 2 * kGiB;
  EXPECT_EQ(finding(f, "swap").severity, Severity::kWarning);
}

TEST(Findings, GovernorsThatHoldBack) {
  MachineFacts f = sound_machine();
  f.power.driver = "acpi-cpufreq";
  f.power.governor = "powersave";
  EXPECT_EQ(finding(f, "power governor").severity, Severity::kWarning);
  f.power.governor = "schedutil";
  EXPECT_EQ(finding(f, "power governor").severity, Severity::kAdvice);
  f.power.governor = "performance";
  EXPECT_EQ(finding(f, "power governor").severity, Severity::kOk);
  f.power.driver = "intel_pstate";
  f.power.governor = "powersave";
  f.power.preference = "performance";
  EXPECT_EQ(finding(f, "power governor").severity, Severity::kOk);
  f.power.preference = "balance_power";
  EXPECT_EQ(finding(f, "power governor").severity, Severity::kAdvice);
  f.power.turbo = false;
  EXPECT_THAT(finding(f, "turbo").command, HasSubstr("no_turbo"));
}

TEST(Findings, OthersOnTheMachine) {
  MachineFacts f = sound_machine();
  f.use.busy = 0.2;
  EXPECT_EQ(finding(f, "load").severity, Severity::kAdvice);
  f.use.busy = 0.9;
  EXPECT_EQ(finding(f, "load").severity, Severity::kWarning);
  f.use = {0, 0.1};
  f.virtualization.is_virtual_machine = true;
  EXPECT_EQ(finding(f, "virtual machine").severity, Severity::kWarning);
  f = sound_machine();
  f.online_cpus = 8;
  EXPECT_EQ(finding(f, "CPU affinity").severity, Severity::kAdvice);
  f.topology.numa_nodes = 2;
  EXPECT_THAT(finding(f, "NUMA").command, HasSubstr("numactl"));
  f.limits = {256, std::nullopt, kGiB};
  EXPECT_EQ(finding(f, "open files").severity, Severity::kAdvice);
  EXPECT_EQ(finding(f, "address space").severity, Severity::kWarning);
}

TEST(Findings, FactsOfThisMachineCanBeCollected) {
  const MachineFacts f = collect_machine_facts(0, 0.01);
  EXPECT_GE(f.threads, 1);
  EXPECT_GE(f.online_cpus, 1);
  EXPECT_NE(f.isa, "");
  EXPECT_GT(f.memory.total_bytes, 0u);
  EXPECT_EQ(collect_machine_facts(3, 0).threads, 3);
}

TEST(BytesText, TakesTheUnitThatFits) {
  EXPECT_EQ(bytes_text(512), "0 KiB");
  EXPECT_EQ(bytes_text(96 << 10), "96 KiB");
  EXPECT_EQ(bytes_text(5 << 20), "5 MiB");
  EXPECT_EQ(bytes_text(1.5 * (1 << 30)), "1.5 GiB");
}

}  // namespace
}  // namespace ridgeline::doctor
