#include "ridgeline/platform/machine_load.h"

#include <charconv>
#include <string_view>

#include "ridgeline/platform/system_file.h"

namespace ridgeline {

CpuTimes read_cpu_times(const std::string& root) {
  // proc(5): user nice system idle iowait irq softirq steal guest guest_nice, where the guests'
  // are in user and nice already.
  enum Column { kUser, kNice, kSystem, kIdle, kIoWait, kIrq, kSoftIrq, kSteal, kColumns };
  const std::string stat = read_system_file(root + "/proc/stat");
  std::string_view line = field_text(stat, "cpu");
  CpuTimes times;
  for (int column = 0; column < kColumns && !line.empty(); ++column) {
    const std::uint64_t ticks = leading_number(take_until(line, ' ')).value_or(0);
    times.total += ticks;
    if (column == kSteal)
      times.stolen += ticks;
    else if (column != kIdle && column != kIoWait)
      times.busy += ticks;
  }
  return times;
}

CpuUse use_between(const CpuTimes& before, const CpuTimes& after) {
  if (after.total <= before.total) return {};
  const auto total = static_cast<double>(after.total - before.total);
  // The kernel may take ticks back when it corrects its accounts.
  const auto share = [&](std::uint64_t from, std::uint64_t to) {
    return to > from ? static_cast<double>(to - from) / total : 0.0;
  };
  return {share(before.busy, after.busy), share(before.stolen, after.stolen)};
}

std::optional<double> read_load_average(const std::string& root) {
  const std::string text = read_system_file(root + "/proc/loadavg");
  double load = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), load);
  if (error != std::errc{}) return std::nullopt;
  return load;
}

}  // namespace ridgeline
