#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ridgeline {

/// Transparent huge pages: what the system gives to memory that asks for them.
struct HugePages {
  enum class Mode {
    kAbsent,   ///< the kernel has none
    kAlways,   ///< to all memory
    kMadvise,  ///< to memory that asks, as Ridgeline's does
    kNever,
  };
  Mode mode = Mode::kAbsent;
  std::string defrag;       ///< whether a page fault waits for one: "madvise", "defer", ...
  bool process_may = true;  ///< false: switched off for this process (prctl)
  /// Set apart for programs that ask for them by hugetlbfs, and lost to all others.
  std::uint64_t reserved_bytes = 0;

  bool given() const { return process_may && (mode == Mode::kAlways || mode == Mode::kMadvise); }
};
HugePages read_huge_pages(const std::string& root);

/// Bytes of anonymous huge pages in the mapping that `address` lies in, and the mapping's resident
/// size, by the text of /proc/self/smaps; zeros if it is not there.
struct MappingPages {
  std::uint64_t resident_bytes = 0, huge_bytes = 0;
};
MappingPages mapping_pages(std::string_view smaps, std::uint64_t address);
/// Of this process.
MappingPages mapping_pages(const void* address);

}  // namespace ridgeline
