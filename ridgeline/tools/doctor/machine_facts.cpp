#include "ridgeline/tools/doctor/machine_facts.h"

#include <chrono>
#include <cstdlib>
#include <thread>

#include "ridgeline/kernels/kernel_table.h"
#include "ridgeline/platform/system_file.h"
#include "ridgeline/platform/thread_pool.h"
#include "ridgeline/platform/topology_reader.h"
#include "ridgeline/tools/machine_probe.h"

namespace ridgeline::doctor {
namespace {

/// How much of a buffer like those of weights is in huge pages once it is written.
void measure_huge_share(MachineSpeed& speed) {
  constexpr std::size_t kBytes = std::size_t{16} << 20, kStep = 4096;
  auto buffer = Buffer::allocate(kBytes, "the test of huge pages");
  if (!buffer) return;
  for (std::size_t i = 0; i < kBytes; i += kStep) buffer->data()[i] = std::byte{1};
  const MappingPages pages = mapping_pages(buffer->data());
  speed.huge_share_known = pages.resident_bytes > 0;
  // The kernel may have joined the mapping to its neighbours.
  if (speed.huge_share_known)
    speed.huge_share =
        static_cast<double>(pages.huge_bytes) / static_cast<double>(pages.resident_bytes);
}

}  // namespace

MachineFacts collect_machine_facts(int threads, double load_seconds) {
  const std::string root;
  MachineFacts facts;
  const CpuTimes before = read_cpu_times(root);
  std::this_thread::sleep_for(std::chrono::duration<double>(load_seconds));
  facts.use = use_between(before, read_cpu_times(root));
  facts.load_average = read_load_average(root);

  facts.cpu = cpu_features();
  for (const KernelTable* table : available_kernels()) facts.isas.emplace_back(table->name);
  for (const std::string_view name : built_isas()) facts.built_isas.emplace_back(name);
  facts.isa = facts.isas.front();
  if (const char* forced = std::getenv("RIDGELINE_ISA");
      forced != nullptr && find_kernels(forced) != nullptr && *forced != '\0') {
    facts.isa = forced;
    facts.isa_is_forced = true;
  }
  facts.topology = topology();
  facts.online_cpus = static_cast<int>(
      parse_cpu_list(read_system_file(root + "/sys/devices/system/cpu/online")).size());
  facts.threads = threads > 0 ? threads : facts.topology.default_threads();
  facts.cgroup_cpu = read_cgroup_cpu(root);
  facts.cgroup_memory = read_cgroup_memory(root);
  facts.memory = memory_info();
  facts.machine_memory_bytes =
      field(read_system_file(root + "/proc/meminfo"), "MemTotal").value_or(0) << 10;
  facts.huge_pages = read_huge_pages(root);
  facts.swap = read_swap_state(root);
  facts.power = read_power_policy(root, facts.topology.usable_cpus);
  facts.virtualization = read_virtualization(root);
  facts.limits = read_process_limits(root);
  return facts;
}

MachineSpeed measure_machine(const MachineFacts& facts, bool pin) {
  constexpr double kSeconds = 0.15;
  MachineSpeed speed;
  measure_huge_share(speed);
  const KernelTable& kernels = *find_kernels(facts.isa);
  const auto measure = [&](int threads) {
    ThreadPool pool(threads, pin);
    Ceilings ceilings;
    ceilings.read_bytes_per_second = measure_read_bandwidth(pool, 2 * kSeconds);
    for (const PeakKernel& kernel : kernels.peaks)
      ceilings.ops_per_second[static_cast<std::size_t>(kernel.arithmetic)] =
          measure_peak(pool, kernel, kSeconds / 4);
    return ceilings;
  };
  speed.all_threads = measure(facts.threads);
  speed.one_thread = facts.threads > 1 ? measure(1) : speed.all_threads;
  return speed;
}

}  // namespace ridgeline::doctor
