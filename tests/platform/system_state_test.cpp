// What the system says about itself, from files of machines that are not this one.

#include <gtest/gtest.h>

#include "ridgeline/platform/cgroup.h"
#include "ridgeline/platform/huge_pages.h"
#include "ridgeline/platform/machine_load.h"
#include "ridgeline/platform/power_policy.h"
#include "ridgeline/platform/process_limits.h"
#include "ridgeline/platform/swap_state.h"
#include "ridgeline/platform/system_file.h"
#include "ridgeline/platform/virtualization.h"
#include "tests/platform/made_up_machine.h"

namespace ridgeline {
namespace {

class SystemState : public test::MadeUpFiles {};

TEST(SystemFile, FieldsOfBothFormats) {
  const std::string text = "MemTotal:   16 kB\nMemTotalX: 1\nnr_throttled 7\nflags\t\t: a b c\n";
  EXPECT_EQ(field(text, "MemTotal"), 16u);
  EXPECT_EQ(field(text, "nr_throttled"), 7u);
  EXPECT_EQ(field_text(text, "flags"), "a b c");
  EXPECT_EQ(field(text, "Mem"), std::nullopt);
  EXPECT_EQ(field(text, "flags"), std::nullopt);
  EXPECT_EQ(bracketed("always [madvise] never\n"), "madvise");
  EXPECT_EQ(bracketed("madvise\n"), "madvise");
  EXPECT_EQ(bracketed("] ["), "] [");
}

TEST_F(SystemState, WithoutAnyFileNothingIsKnown) {
  EXPECT_FALSE(read_cgroup_cpu(root_).cpus.has_value());
  EXPECT_TRUE(read_cgroup_memory(root_).empty());
  EXPECT_FALSE(read_power_policy(root_, {0, 1}).known());
  EXPECT_EQ(read_huge_pages(root_).mode, HugePages::Mode::kAbsent);
  EXPECT_FALSE(read_huge_pages(root_).given());
  EXPECT_EQ(read_swap_state(root_).total_bytes, 0u);
  EXPECT_FALSE(read_swap_state(root_).swappiness.has_value());
  EXPECT_EQ(read_cpu_times(root_).total, 0u);
  EXPECT_FALSE(read_load_average(root_).has_value());
  EXPECT_FALSE(read_process_limits(root_).open_files.has_value());
  EXPECT_FALSE(read_virtualization(root_).is_virtual_machine);
  EXPECT_EQ(read_virtualization(root_).container, "");
}

TEST_F(SystemState, AQuotaNamesItsFileAndHowOftenItStopped) {
  put("/proc/self/cgroup", "0::/pod/ctr\n");
  put("/proc/self/mountinfo", "31 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  put("/sys/fs/cgroup/pod/ctr/cpu.max", "max 100000\n");
  put("/sys/fs/cgroup/pod/cpu.max", "150000 100000\n");
  put("/sys/fs/cgroup/pod/cpu.stat",
      "usage_usec 5\nnr_periods 200\nnr_throttled 50\nthrottled_usec 9\n");
  put("/sys/fs/cgroup/pod/memory.max", "2147483648\n");
  put("/sys/fs/cgroup/pod/memory.high", "1073741824\n");
  put("/sys/fs/cgroup/pod/memory.current", "4096\n");
  const CgroupCpu cpu = read_cgroup_cpu(root_);
  EXPECT_DOUBLE_EQ(cpu.cpus.value_or(0), 1.5);
  EXPECT_EQ(cpu.file, "/sys/fs/cgroup/pod/cpu.max");
  EXPECT_EQ(cpu.periods, 200u);
  EXPECT_EQ(cpu.throttled_periods, 50u);
  const auto memory = read_cgroup_memory(root_);
  ASSERT_EQ(memory.size(), 1u);
  EXPECT_EQ(memory[0].limit_bytes, 1u << 30);
  EXPECT_EQ(memory[0].held_bytes, 4096u);
  EXPECT_EQ(memory[0].file, "/sys/fs/cgroup/pod/memory.high");
}

TEST_F(SystemState, QuotaOfVersion1NamesItsFile) {
  put("/proc/self/cgroup", "3:cpu,cpuacct:/docker/a\n0::/\n");
  put("/proc/self/mountinfo",
      "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n");
  put("/sys/fs/cgroup/cpu/docker/a/cpu.cfs_quota_us", "400000\n");
  put("/sys/fs/cgroup/cpu/docker/a/cpu.cfs_period_us", "100000\n");
  EXPECT_DOUBLE_EQ(read_cgroup_cpu(root_).cpus.value_or(0), 4);
  EXPECT_EQ(read_cgroup_cpu(root_).file, "/sys/fs/cgroup/cpu/docker/a/cpu.cfs_quota_us");
}

TEST_F(SystemState, GovernorsOfTheCpusThatAreUsed) {
  const auto cpu = [&](int i, const char* governor) {
    const std::string folder = "/sys/devices/system/cpu/cpu" + std::to_string(i) + "/cpufreq/";
    put(folder + "scaling_driver", "acpi-cpufreq\n");
    put(folder + "scaling_governor", std::string(governor) + "\n");
    put(folder + "scaling_max_freq", "2000000\n");
    put(folder + "cpuinfo_max_freq", "3500000\n");
  };
  cpu(0, "powersave");
  cpu(1, "performance");
  put("/sys/devices/system/cpu/cpufreq/boost", "0\n");
  const PowerPolicy one = read_power_policy(root_, {1});
  EXPECT_EQ(one.governor, "performance");
  EXPECT_EQ(one.max_khz, 2000000u);
  EXPECT_EQ(one.hardware_max_khz, 3500000u);
  EXPECT_EQ(one.turbo, false);
  EXPECT_FALSE(one.hardware_decides());
  EXPECT_EQ(read_power_policy(root_, {0, 1}).governor, "performance, powersave");
}

TEST_F(SystemState, IntelsDriverDecidesByItself) {
  put("/sys/devices/system/cpu/cpu0/cpufreq/scaling_driver", "intel_pstate\n");
  put("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n");
  put("/sys/devices/system/cpu/cpu0/cpufreq/energy_performance_preference", "balance_power\n");
  put("/sys/devices/system/cpu/intel_pstate/no_turbo", "0\n");
  const PowerPolicy policy = read_power_policy(root_, {0});
  EXPECT_TRUE(policy.hardware_decides());
  EXPECT_EQ(policy.preference, "balance_power");
  EXPECT_EQ(policy.turbo, true);
}

TEST_F(SystemState, HugePagesByModeAndProcess) {
  const std::string folder = "/sys/kernel/mm/transparent_hugepage/";
  put(folder + "enabled", "always madvise [never]\n");
  put(folder + "defrag", "always defer defer+madvise [madvise] never\n");
  put("/proc/meminfo", "HugePages_Total:      10\nHugepagesize:       2048 kB\n");
  EXPECT_EQ(read_huge_pages(root_).mode, HugePages::Mode::kNever);
  EXPECT_EQ(read_huge_pages(root_).defrag, "madvise");
  EXPECT_EQ(read_huge_pages(root_).reserved_bytes, std::uint64_t{20} << 20);
  put(folder + "enabled", "[always] madvise never\n");
  EXPECT_TRUE(read_huge_pages(root_).given());
  put("/proc/self/status", "Name:\tx\nTHP_enabled:\t0\n");
  EXPECT_FALSE(read_huge_pages(root_).given());
}

TEST(HugePages, OfTheMappingThatHoldsAnAddress) {
  constexpr const char* kSmaps =
      "00400000-00500000 r-xp 00000000 fe:00 12 /bin/x\nRss:  64 kB\nAnonHugePages:  0 kB\n"
      "7f0000000000-7f0000400000 rw-p 00000000 00:00 0 \nRss:  4096 kB\n"
      "AnonHugePages:      2048 kB\nVmFlags: rd wr\n"
      "7f0000800000-7f0000900000 rw-p 00000000 00:00 0 \nRss:  8 kB\n";
  const MappingPages pages = mapping_pages(kSmaps, 0x7f0000012345);
  EXPECT_EQ(pages.resident_bytes, 4096u << 10);
  EXPECT_EQ(pages.huge_bytes, 2048u << 10);
  EXPECT_EQ(mapping_pages(kSmaps, 0x7f0000400000).resident_bytes, 0u);
  EXPECT_EQ(mapping_pages("nonsense\n", 1).resident_bytes, 0u);
  // This process, whatever its pages are.
  const std::vector<char> here(std::size_t{1} << 20, 1);
  EXPECT_GE(mapping_pages(here.data()).resident_bytes, std::size_t{1} << 20);
}

TEST_F(SystemState, SwapInUse) {
  put("/proc/meminfo", "SwapTotal:     2048 kB\nSwapFree:      1024 kB\n");
  put("/proc/sys/vm/swappiness", "60\n");
  const SwapState swap = read_swap_state(root_);
  EXPECT_EQ(swap.total_bytes, 2048u << 10);
  EXPECT_EQ(swap.used_bytes, 1024u << 10);
  EXPECT_EQ(swap.swappiness, 60);
}

TEST_F(SystemState, LoadBetweenTwoLooks) {
  put("/proc/stat", "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 2 3 4\n");
  const CpuTimes before = read_cpu_times(root_);
  EXPECT_EQ(before.total, 1000u);
  EXPECT_EQ(before.busy, 150u);
  put("/proc/stat", "cpu  130 5 60 820 50 3 2 30 0 0\ncpu0 1 2 3 4\n");
  const CpuUse use = use_between(before, read_cpu_times(root_));
  EXPECT_DOUBLE_EQ(use.busy, 0.5);    // 50 of 100 ticks
  EXPECT_DOUBLE_EQ(use.stolen, 0.3);  // 30
  EXPECT_EQ(use_between(before, before).busy, 0);
  put("/proc/loadavg", "3.25 1.00 0.50 2/100 1234\n");
  EXPECT_DOUBLE_EQ(read_load_average(root_).value_or(0), 3.25);
}

TEST_F(SystemState, LimitsOfTheProcess) {
  put("/proc/self/limits",
      "Limit                     Soft Limit           Hard Limit           Units     \n"
      "Max open files            1024                 4096                 files     \n"
      "Max locked memory         8388608              8388608              bytes     \n"
      "Max address space         unlimited            unlimited            bytes     \n");
  const ProcessLimits limits = read_process_limits(root_);
  EXPECT_EQ(limits.open_files, 1024u);
  EXPECT_EQ(limits.locked_bytes, 8388608u);
  EXPECT_FALSE(limits.address_bytes.has_value());
}

TEST_F(SystemState, ContainersAndVirtualMachines) {
  put("/proc/cpuinfo", "model name\t: CPU\nflags\t\t: fpu vme hypervisor lahf_lm\n");
  put("/sys/class/dmi/id/sys_vendor", "QEMU\n");
  put("/sys/class/dmi/id/product_name", "Standard PC\n");
  Virtualization v = read_virtualization(root_);
  EXPECT_TRUE(v.is_virtual_machine);
  EXPECT_EQ(v.product, "QEMU Standard PC");
  EXPECT_EQ(v.container, "");
  put("/.dockerenv", "");
  EXPECT_EQ(read_virtualization(root_).container, "docker");
  put("/proc/self/cgroup", "0::/kubepods.slice/pod1\n");
  EXPECT_EQ(read_virtualization(root_).container, "kubernetes");
  put("/proc/1/environ", std::string("PATH=/bin\0container=lxc\0", 24));
  EXPECT_EQ(read_virtualization(root_).container, "lxc");
  put("/proc/cpuinfo", "flags : fpu nohypervisor\n");
  EXPECT_FALSE(read_virtualization(root_).is_virtual_machine);
}

}  // namespace
}  // namespace ridgeline
