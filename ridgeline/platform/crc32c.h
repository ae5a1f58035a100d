#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace ridgeline {

/// CRC-32C (Castagnoli), the checksum of iSCSI, ext4 and btrfs, because x86-64 has an
/// instruction for it: about as fast as one core reads memory. It finds every change
/// of up to 32 bits in a row, and others but for one in 2^32.
std::uint32_t crc32c(std::span<const std::byte> data);
/// The same without that instruction, as CPUs that lack it compute it.
std::uint32_t crc32c_portable(std::span<const std::byte> data);

}  // namespace ridgeline
