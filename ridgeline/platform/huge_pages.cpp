#include "ridgeline/platform/huge_pages.h"

#include <charconv>
#include <fstream>
#include <sstream>

#include "ridgeline/platform/system_file.h"

namespace ridgeline {
namespace {

/// "7f00-7fff rw-p ...": where a mapping begins and ends; false for other lines.
bool is_mapping(std::string_view line, std::uint64_t& begin, std::uint64_t& end) {
  const char* const last = line.data() + line.size();
  const auto first = std::from_chars(line.data(), last, begin, 16);
  if (first.ec != std::errc{} || first.ptr == last || *first.ptr != '-') return false;
  const auto second = std::from_chars(first.ptr + 1, last, end, 16);
  return second.ec == std::errc{} && second.ptr != last && *second.ptr == ' ';
}

}  // namespace

HugePages read_huge_pages(const std::string& root) {
  const std::string folder = root + "/sys/kernel/mm/transparent_hugepage/";
  HugePages pages;
  const std::string enabled = read_system_file(folder + "enabled");
  const std::string_view mode = bracketed(enabled);
  if (mode == "always") pages.mode = HugePages::Mode::kAlways;
  if (mode == "madvise") pages.mode = HugePages::Mode::kMadvise;
  if (mode == "never") pages.mode = HugePages::Mode::kNever;
  pages.defrag = bracketed(read_system_file(folder + "defrag"));
  // Since Linux 5.0; without the line nothing is known to forbid it.
  pages.process_may =
      field(read_system_file(root + "/proc/self/status"), "THP_enabled").value_or(1) != 0;
  const std::string info = read_system_file(root + "/proc/meminfo");
  pages.reserved_bytes =
      (field(info, "HugePages_Total").value_or(0) * field(info, "Hugepagesize").value_or(0)) << 10;
  return pages;
}

MappingPages mapping_pages(std::string_view smaps, std::uint64_t address) {
  MappingPages pages;
  bool inside = false;
  while (!smaps.empty()) {
    const std::string_view line = take_until(smaps, '\n');
    std::uint64_t begin = 0, end = 0;
    if (is_mapping(line, begin, end)) {
      if (inside) break;
      inside = begin <= address && address < end;
      continue;
    }
    if (!inside) continue;
    if (const auto kib = field(line, "Rss")) pages.resident_bytes = *kib << 10;
    if (const auto kib = field(line, "AnonHugePages")) pages.huge_bytes = *kib << 10;
  }
  return pages;
}

MappingPages mapping_pages(const void* address) {
  // Not read_system_file(): a process with many mappings has more than it reads.
  std::ifstream file("/proc/self/smaps", std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return mapping_pages(text.str(), reinterpret_cast<std::uintptr_t>(address));
}

}  // namespace ridgeline
