// parse_safetensors on any bytes, then every byte of what it accepted. -max_len=4096

#include <cstddef>
#include <cstdint>

#include "ridgeline/format/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto tensors = ridgeline::parse_safetensors(
      {reinterpret_cast<const std::byte*>(data), size}, "fuzz.safetensors");
  if (!tensors) return 0;
  unsigned sum = 0;
  for (const auto& t : *tensors)
    for (const std::byte b : t.data) sum += static_cast<unsigned>(b);
  volatile unsigned keep = sum;
  (void)keep;
  return 0;
}
