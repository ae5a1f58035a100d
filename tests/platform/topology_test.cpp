#include "ridgeline/platform/topology.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "ridgeline/platform/topology_reader.h"

namespace ridgeline {
namespace {

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

/// A made-up machine: files under a folder that stands for "/".
class MadeUpMachine : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "ridgeline-machine-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    put("/proc/meminfo",
        "MemTotal:       16777216 kB\nMemFree:         1048576 kB\nMemAvailable:    8388608 kB\n");
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void put(const std::string& path, const std::string& text) {
    const std::filesystem::path file = root_ + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  void put_cpu(int cpu, const std::string& siblings) {
    const std::string folder = "/sys/devices/system/cpu/cpu" + std::to_string(cpu);
    put(folder + "/topology/thread_siblings_list", siblings + "\n");
    const char* caches[][3] = {{"1", "Data", "48K"},
                               {"1", "Instruction", "32K"},
                               {"2", "Unified", "2048K"},
                               {"3", "Unified", "36M"}};
    for (int i = 0; i < 4; ++i) {
      const std::string cache = folder + "/cache/index" + std::to_string(i);
      put(cache + "/level", std::string(caches[i][0]) + "\n");
      put(cache + "/type", std::string(caches[i][1]) + "\n");
      put(cache + "/size", std::string(caches[i][2]) + "\n");
    }
  }
  void mount_v2(const std::string& cgroup, const std::string& mount_root) {
    put("/proc/self/cgroup", "0::" + cgroup + "\n");
    put("/proc/self/mountinfo",
        "22 28 0:21 / /proc rw shared:5 - proc proc rw\n"
        "31 24 0:26 " +
            mount_root + " /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n");
  }
  void mount_v1(const std::string& cgroup) {
    put("/proc/self/cgroup",
        "4:memory:" + cgroup + "\n3:cpu,cpuacct:" + cgroup + "\n2:cpuset:/\n0::/\n");
    put("/proc/self/mountinfo",
        "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
        "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
  }
  Topology read(const std::vector<int>& cpus) { return read_topology(root_, cpus); }

  std::string root_;
};

TEST_F(MadeUpMachine, CoresFirstThenTheirSiblings) {
  for (const int cpu : {0, 1, 4, 5}) put_cpu(cpu, cpu % 4 == 0 ? "0,4" : "1,5");
  const Topology machine = read({0, 1, 4, 5});
  EXPECT_EQ(machine.usable_cpus, (std::vector<int>{0, 1, 4, 5}));
  EXPECT_EQ(machine.physical_cores, 2);
  EXPECT_EQ(machine.default_threads(), 2);
  EXPECT_EQ(machine.l1d_bytes, 48u << 10);
  EXPECT_EQ(machine.l2_bytes, 2u << 20);
  EXPECT_EQ(machine.l3_bytes, 36u << 20);
}

TEST_F(MadeUpMachine, NeighbouringSiblingsAndAMaskWithHoles) {
  for (int cpu = 0; cpu < 8; ++cpu) {
    const int core = cpu / 2 * 2;
    put_cpu(cpu, std::to_string(core) + "-" + std::to_string(core + 1));
  }
  // CPU 0 is not ours, so its sibling 1 stands for the core.
  const Topology machine = read({1, 4, 5, 6});
  EXPECT_EQ(machine.usable_cpus, (std::vector<int>{1, 4, 6, 5}));
  EXPECT_EQ(machine.physical_cores, 3);
}

TEST_F(MadeUpMachine, WithoutSysEveryCpuIsACore) {
  const Topology machine = read({0, 1, 2});
  EXPECT_EQ(machine.physical_cores, 3);
  EXPECT_EQ(machine.numa_nodes, 1);
  EXPECT_EQ(machine.l3_bytes, 0u);
  EXPECT_FALSE(machine.cpu_quota.has_value());
}

TEST_F(MadeUpMachine, CountsTheNodesThatItMayRunOn) {
  put("/sys/devices/system/node/online", "0-2\n");
  put("/sys/devices/system/node/node0/cpulist", "0-3\n");
  put("/sys/devices/system/node/node1/cpulist", "4-7\n");
  put("/sys/devices/system/node/node2/cpulist", "\n");  // memory only
  EXPECT_EQ(read({0, 1, 5}).numa_nodes, 2);
  EXPECT_EQ(read({4, 5}).numa_nodes, 1);
}

TEST_F(MadeUpMachine, QuotaOfVersion2IsTheLeastOnTheWayUp) {
  mount_v2("/kubepods/pod7/ctr", "/");
  put("/sys/fs/cgroup/kubepods/pod7/ctr/cpu.max", "max 100000\n");
  put("/sys/fs/cgroup/kubepods/pod7/cpu.max", "250000 100000\n");
  put("/sys/fs/cgroup/kubepods/cpu.max", "800000 100000\n");
  const Topology machine = read({0, 1, 2, 3, 4, 5, 6, 7});
  ASSERT_TRUE(machine.cpu_quota.has_value());
  EXPECT_DOUBLE_EQ(*machine.cpu_quota, 2.5);
  EXPECT_EQ(machine.default_threads(), 3);
}

TEST_F(MadeUpMachine, QuotaOfVersion1) {
  mount_v1("/docker/abc");
  put("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "50000\n");
  put("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n");
  put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  const Topology machine = read({0, 1});
  ASSERT_TRUE(machine.cpu_quota.has_value());
  EXPECT_DOUBLE_EQ(*machine.cpu_quota, 0.5);
  EXPECT_EQ(machine.default_threads(), 1);
}

TEST_F(MadeUpMachine, AContainerSeesItsOwnCgroupAsTheMountsRoot) {
  mount_v2("/system.slice/docker-1", "/system.slice/docker-1");
  put("/sys/fs/cgroup/cpu.max", "100000 100000\n");
  EXPECT_DOUBLE_EQ(read({0, 1}).cpu_quota.value_or(0), 1.0);
}

TEST_F(MadeUpMachine, ACgroupOutsideOfTheMountFallsBackToItsRoot) {
  mount_v2("/../sibling", "/");
  put("/sys/fs/cgroup/cpu.max", "300000 100000\n");
  EXPECT_DOUBLE_EQ(read({0, 1}).cpu_quota.value_or(0), 3.0);
}

TEST_F(MadeUpMachine, MemoryIsTheMachinesWithoutALimit) {
  mount_v2("/a", "/");
  put("/sys/fs/cgroup/a/memory.max", "max\n");
  const MemoryInfo info = read_memory_info(root_);
  EXPECT_EQ(info.total_bytes, 16 * kGiB);
  EXPECT_EQ(info.available_bytes, 8 * kGiB);
}

TEST_F(MadeUpMachine, MemoryLimitOfVersion2LeavesOutThePageCache) {
  mount_v2("/a", "/");
  put("/sys/fs/cgroup/a/memory.max", std::to_string(4 * kGiB) + "\n");
  put("/sys/fs/cgroup/a/memory.high", "max\n");
  put("/sys/fs/cgroup/a/memory.current", std::to_string(3 * kGiB) + "\n");
  put("/sys/fs/cgroup/a/memory.stat", "anon 1073741824\nfile 2147483648\ninactive_file " +
                                          std::to_string(kGiB) + "\nactive_file " +
                                          std::to_string(kGiB) + "\n");
  const MemoryInfo info = read_memory_info(root_);
  EXPECT_EQ(info.total_bytes, 4 * kGiB);
  EXPECT_EQ(info.available_bytes, 3 * kGiB);
}

TEST_F(MadeUpMachine, MemoryLimitOfVersion1AndOfAParent) {
  mount_v1("/a/b");
  const std::string top = "/sys/fs/cgroup/memory";
  put(top + "/a/b/memory.limit_in_bytes", "9223372036854771712\n");
  put(top + "/a/memory.limit_in_bytes", std::to_string(2 * kGiB) + "\n");
  put(top + "/a/memory.usage_in_bytes", std::to_string(kGiB) + "\n");
  put(top + "/a/memory.stat", "total_inactive_file 0\ntotal_active_file 1048576\n");
  put(top + "/memory.limit_in_bytes", "9223372036854771712\n");
  const MemoryInfo info = read_memory_info(root_);
  EXPECT_EQ(info.total_bytes, 2 * kGiB);
  EXPECT_EQ(info.available_bytes, kGiB + (std::uint64_t{1} << 20));
}

TEST_F(MadeUpMachine, ALimitAboveTheMachineChangesNothing) {
  mount_v2("/a", "/");
  put("/sys/fs/cgroup/a/memory.max", std::to_string(64 * kGiB) + "\n");
  put("/sys/fs/cgroup/a/memory.current", std::to_string(kGiB) + "\n");
  const MemoryInfo info = read_memory_info(root_);
  EXPECT_EQ(info.total_bytes, 16 * kGiB);
  EXPECT_EQ(info.available_bytes, 8 * kGiB);
}

TEST(ParseCpuList, RangesAndSingles) {
  EXPECT_EQ(parse_cpu_list("0-3,8,10-11\n"), (std::vector<int>{0, 1, 2, 3, 8, 10, 11}));
  EXPECT_TRUE(parse_cpu_list("").empty());
  EXPECT_TRUE(parse_cpu_list("\n").empty());
  EXPECT_EQ(parse_cpu_list("2,nonsense,3"), (std::vector<int>{2}));
  EXPECT_EQ(parse_cpu_list("1,5-2"), (std::vector<int>{1}));
  EXPECT_TRUE(parse_cpu_list("0-18446744073709551615").empty());
}

TEST(Topology, OfThisMachineIsPlausible) {
  const Topology& machine = topology();
  ASSERT_FALSE(machine.usable_cpus.empty());
  EXPECT_LE(machine.usable_cpus.size(), std::max(1u, std::thread::hardware_concurrency()));
  EXPECT_GE(machine.physical_cores, 1);
  EXPECT_LE(machine.physical_cores, static_cast<int>(machine.usable_cpus.size()));
  EXPECT_GE(machine.default_threads(), 1);
  EXPECT_LE(machine.default_threads(), machine.physical_cores);
}

TEST(Memory, OfThisMachineIsPlausible) {
  const MemoryInfo info = memory_info();
  EXPECT_GT(info.total_bytes, 0u);
  EXPECT_LE(info.available_bytes, info.total_bytes);
  const std::uint64_t before = resident_bytes();
  EXPECT_GT(before, 0u);
  EXPECT_GE(peak_resident_bytes() + kGiB / 64, before);

  const std::vector<char> touched(std::size_t{64} << 20, 1);
  EXPECT_GE(resident_bytes(), before + (std::uint64_t{60} << 20)) << touched.size();
  EXPECT_GE(peak_resident_bytes(), before + (std::uint64_t{60} << 20));
}

}  // namespace
}  // namespace ridgeline
