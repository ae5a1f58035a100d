#include "ridgeline/format/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>

#include "ridgeline/format/gguf_text.h"
#include "ridgeline/format/json_file.h"

namespace ridgeline {
namespace {

using nlohmann::json;

/// As the format's own reader allows.
constexpr std::uint64_t kHeaderBytesMax = 100'000'000;
constexpr std::size_t kDimensionsMax = 8;

struct ElementSize {
  std::string_view dtype;
  std::uint64_t bytes;
};
constexpr std::array kElementSizes{
    ElementSize{"F64", 8},     ElementSize{"F32", 4},     ElementSize{"F16", 2},
    ElementSize{"BF16", 2},    ElementSize{"F8_E4M3", 1}, ElementSize{"F8_E5M2", 1},
    ElementSize{"F8_E8M0", 1}, ElementSize{"I64", 8},     ElementSize{"I32", 4},
    ElementSize{"I16", 2},     ElementSize{"I8", 1},      ElementSize{"U64", 8},
    ElementSize{"U32", 4},     ElementSize{"U16", 2},     ElementSize{"U8", 1},
    ElementSize{"BOOL", 1},
};

/// A count that a JSON value holds, below 2^60.
bool read_count(const json& value, std::uint64_t& out) {
  if (!value.is_number_unsigned()) return false;
  out = value.get<std::uint64_t>();
  return out < (std::uint64_t{1} << 60);
}

Result<StoredTensor> read_tensor(const std::string& name, const json& value,
                                 std::span<const std::byte> data, const std::string& path) {
  const auto wrong = [&](const std::string& what) {
    return fail(fmt::format("{}: tensor {} {}", path, gguf::quoted(name), what));
  };
  if (!value.is_object() || !value.contains("dtype") || !value["dtype"].is_string() ||
      !value.contains("shape") || !value["shape"].is_array() || !value.contains("data_offsets") ||
      !value["data_offsets"].is_array() || value["data_offsets"].size() != 2)
    return wrong("has no dtype, shape and two data_offsets");
  StoredTensor tensor;
  tensor.name = name;
  tensor.dtype = value["dtype"].get<std::string>();
  const auto* size = std::ranges::find(kElementSizes, tensor.dtype, &ElementSize::dtype);
  if (size == kElementSizes.end())
    return wrong(fmt::format("has the unknown dtype {}", gguf::quoted(tensor.dtype)));
  if (value["shape"].size() > kDimensionsMax)
    return wrong(fmt::format("has {} dimensions, expected at most {}", value["shape"].size(),
                             kDimensionsMax));
  std::uint64_t bytes = size->bytes;
  for (const json& dimension : value["shape"]) {
    std::uint64_t n = 0;
    if (!read_count(dimension, n)) return wrong("has a shape that is not made of sizes");
    tensor.shape.push_back(static_cast<std::int64_t>(n));
    if (n != 0 && bytes > (std::uint64_t{1} << 60) / n)
      return wrong("has a shape of more than 2^60 bytes");
    bytes *= n;
  }
  std::uint64_t begin = 0, end = 0;
  if (!read_count(value["data_offsets"][0], begin) || !read_count(value["data_offsets"][1], end) ||
      begin > end || end > data.size())
    return wrong(fmt::format("has data_offsets {}, expected two within the {} bytes of data",
                             value["data_offsets"].dump(), data.size()));
  if (end - begin != bytes)
    return wrong(fmt::format("of {} [{}] has {} bytes, expected {}", tensor.dtype,
                             fmt::join(tensor.shape, ", "), end - begin, bytes));
  tensor.data = data.subspan(begin, bytes);
  return tensor;
}

}  // namespace

Result<std::vector<StoredTensor>> parse_safetensors(std::span<const std::byte> bytes,
                                                    const std::string& path) {
  std::uint64_t header_bytes = 0;
  if (bytes.size() < sizeof header_bytes)
    return fail(
        fmt::format("{}: has {} bytes, too few for a safetensors file", path, bytes.size()));
  std::memcpy(&header_bytes, bytes.data(), sizeof header_bytes);
  if (header_bytes > kHeaderBytesMax || header_bytes > bytes.size() - sizeof header_bytes)
    return fail(fmt::format("{}: its header claims {} bytes of the file's {}; is it complete?",
                            path, header_bytes, bytes.size()));
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + sizeof header_bytes,
                              header_bytes);
  RIDGELINE_TRY(const json header, parse_json_object(text, path + ": the safetensors header"));
  const auto data = bytes.subspan(sizeof header_bytes + header_bytes);

  std::vector<StoredTensor> tensors;
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") continue;
    RIDGELINE_TRY(StoredTensor tensor, read_tensor(name, value, data, path));
    tensors.push_back(std::move(tensor));
  }
  std::ranges::stable_sort(tensors, {}, [](const StoredTensor& t) { return t.data.data(); });
  for (std::size_t i = 1; i < tensors.size(); ++i)
    if (tensors[i - 1].data.data() + tensors[i - 1].data.size() > tensors[i].data.data())
      return fail(fmt::format("{}: tensors {} and {} overlap", path,
                              gguf::quoted(tensors[i - 1].name), gguf::quoted(tensors[i].name)));
  return tensors;
}

Result<SafetensorsFile> SafetensorsFile::open(const std::string& path) {
  SafetensorsFile file;
  RIDGELINE_TRY(file.mapped, MappedFile::open(path));
  RIDGELINE_TRY(file.tensors, parse_safetensors(file.mapped.bytes(), path));
  return file;
}

}  // namespace ridgeline
