#include "ridgeline/format/gguf_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "ridgeline/format/byte_reader.h"
#include "ridgeline/format/gguf.h"
#include "ridgeline/format/gguf_layout.h"
#include "ridgeline/format/gguf_text.h"

namespace ridgeline {
namespace {

using gguf::quoted;

// Least bytes that a key-value pair, a tensor's description and a string take.
constexpr std::size_t kPairBytesMin = 8 + 4 + 1;
constexpr std::size_t kTensorBytesMin = 8 + 4 + 4 + 8;
constexpr std::size_t kStringBytesMin = 8;

// In memory a value takes up to 16 times its bytes in the file, so a file of a few GB
// could still exhaust the machine. A vocabulary of a million tokens has four million
// elements; the largest mixtures have some ten thousand tensors.
constexpr std::uint64_t kPairsMax = 1u << 16;
constexpr std::uint64_t kTensorsMax = 1u << 18;
constexpr std::uint64_t kArrayElementsMax = 1u << 24;  // of all arrays together

std::string supported_types() {
  std::string out;
  for (const DTypeInfo& type : all_dtypes()) {
    if (!is_gguf_type(type.dtype)) continue;
    if (!out.empty()) out += ", ";
    out += type.name;
  }
  return out;
}

std::string shape_text(std::span<const std::int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

/// Reads one file from front to back:
///
///   header │ key-value pairs │ tensor descriptions │ padding │ tensor data
class GgufParser {
 public:
  GgufParser(std::span<const std::byte> bytes, const std::string& path)
      : bytes_(bytes), reader_(bytes) {
    file_.path = path;
    file_.file_bytes = bytes.size();
  }

  Result<Checkpoint::Contents> parse() {
    RIDGELINE_TRY_STATUS(parse_header());
    for (std::uint64_t i = 0; i < num_pairs_; ++i) RIDGELINE_TRY_STATUS(parse_pair(i));
    RIDGELINE_TRY_STATUS(parse_alignment());
    offsets_.reserve(num_tensors_);
    file_.tensors.reserve(num_tensors_);
    for (std::uint64_t i = 0; i < num_tensors_; ++i) RIDGELINE_TRY_STATUS(parse_tensor(i));
    RIDGELINE_TRY_STATUS(place_tensors());
    return std::move(file_);
  }

 private:
  template <class... Args>
  tl::unexpected<Error> error(fmt::format_string<Args...> format, Args&&... args) const {
    return fail(file_.path + ": " + fmt::format(format, std::forward<Args>(args)...));
  }
  /// The file ends, or a length in it points past its end.
  tl::unexpected<Error> truncated(const std::string& where) const {
    return error("{} at byte {} does not fit into the file's {} bytes", where, reader_.position(),
                 bytes_.size());
  }

  Status parse_header();
  Status check_count(const char* what, std::uint64_t count, std::uint64_t count_max,
                     std::size_t bytes_min) const;
  Status parse_pair(std::uint64_t index);
  Result<GgufValue> parse_value(const std::string& key, GgufType type);
  Result<GgufValue> parse_array(const std::string& key);
  Status parse_alignment();
  Status parse_tensor(std::uint64_t index);
  Status parse_shape(std::uint32_t dimensions, TensorView& tensor);
  Status place_tensors();

  template <class Stored, class Wide>
  Result<GgufValue> scalar(const std::string& key, GgufType type);
  template <class Stored, class Wide>
  GgufValue array(GgufType type, std::uint64_t count);
  Result<GgufValue> booleans(const std::string& key, std::uint64_t count);
  Result<GgufValue> strings(const std::string& key, std::uint64_t count);

  Checkpoint::Contents file_;
  std::set<std::string, std::less<>> tensor_names_;
  std::span<const std::byte> bytes_;
  ByteReader reader_;
  std::uint64_t num_pairs_ = 0;
  std::uint64_t num_tensors_ = 0;
  std::uint64_t num_array_elements_ = 0;
  std::uint64_t alignment_ = gguf::kAlignmentDefault;
  std::vector<std::uint64_t> offsets_;  // of the tensors, from the data's beginning
};

Status GgufParser::parse_header() {
  std::uint32_t magic = 0;
  if (!reader_.read(magic) || magic != gguf::kMagic)
    return error("is not a GGUF file: it does not begin with the letters GGUF");
  std::uint32_t version = 0;
  if (!reader_.read(version)) return truncated("the header's version");
  if (version == 1)
    return error("has GGUF version 1, which was withdrawn in 2023; expected version 2 or 3");
  if ((version & 0xffffu) == 0 && version != 0)
    return error("is a big-endian GGUF file, expected a little-endian one");
  if (version != 2 && version != 3) return error("has GGUF version {}, expected 2 or 3", version);
  file_.format = fmt::format("GGUF v{}", version);

  if (!reader_.read(num_tensors_) || !reader_.read(num_pairs_))
    return truncated("the header's number of tensors and metadata pairs");
  RIDGELINE_TRY_STATUS(check_count("metadata pairs", num_pairs_, kPairsMax, kPairBytesMin));
  RIDGELINE_TRY_STATUS(check_count("tensors", num_tensors_, kTensorsMax, kTensorBytesMin));
  return {};
}

Status GgufParser::check_count(const char* what, std::uint64_t count, std::uint64_t count_max,
                               std::size_t bytes_min) const {
  if (count > count_max)
    return error("claims to have {} {}, expected at most {}", count, what, count_max);
  if (!reader_.has_room_for(count, bytes_min))
    return error("claims to have {} {}, but {} bytes are left", count, what, reader_.remaining());
  return {};
}

Status GgufParser::parse_pair(std::uint64_t index) {
  std::string_view key;
  if (!reader_.read_string(key))
    return truncated(fmt::format("the key of metadata pair {} of {}", index + 1, num_pairs_));
  if (key.empty() || key.size() > gguf::kKeyBytesMax)
    return error("metadata pair {} of {} has a key of {} bytes, expected 1 to {}", index + 1,
                 num_pairs_, key.size(), gguf::kKeyBytesMax);
  std::uint32_t type = 0;
  if (!reader_.read(type)) return truncated("the type of metadata key " + quoted(key));

  const auto [entry, inserted] = file_.metadata.try_emplace(std::string(key));
  if (!inserted) return error("has the metadata key {} twice", quoted(key));
  RIDGELINE_TRY(entry->second, parse_value(entry->first, GgufType{type}));
  return {};
}

template <class Stored, class Wide>
Result<GgufValue> GgufParser::scalar(const std::string& key, GgufType type) {
  Stored stored{};
  if (!reader_.read(stored)) return truncated("the value of metadata key " + quoted(key));
  return GgufValue{static_cast<Wide>(stored), type};
}

Result<GgufValue> GgufParser::parse_value(const std::string& key, GgufType type) {
  using enum GgufType;
  switch (type) {
    case kUint8:
      return scalar<std::uint8_t, std::uint64_t>(key, type);
    case kInt8:
      return scalar<std::int8_t, std::int64_t>(key, type);
    case kUint16:
      return scalar<std::uint16_t, std::uint64_t>(key, type);
    case kInt16:
      return scalar<std::int16_t, std::int64_t>(key, type);
    case kUint32:
      return scalar<std::uint32_t, std::uint64_t>(key, type);
    case kInt32:
      return scalar<std::int32_t, std::int64_t>(key, type);
    case kUint64:
      return scalar<std::uint64_t, std::uint64_t>(key, type);
    case kInt64:
      return scalar<std::int64_t, std::int64_t>(key, type);
    case kFloat32:
      return scalar<float, double>(key, type);
    case kFloat64:
      return scalar<double, double>(key, type);
    case kBool: {
      std::uint8_t stored = 0;
      if (!reader_.read(stored)) return truncated("the value of metadata key " + quoted(key));
      if (stored > 1)
        return error("metadata key {} has the boolean {}, expected 0 or 1", quoted(key), stored);
      return GgufValue{stored == 1, type};
    }
    case kString: {
      std::string_view text;
      if (!reader_.read_string(text)) return truncated("the value of metadata key " + quoted(key));
      return GgufValue{text, type};
    }
    case kArray:
      return parse_array(key);
  }
  return error("metadata key {} has the unknown type {}, expected 0 to 12", quoted(key),
               static_cast<std::uint32_t>(type));
}

template <class Stored, class Wide>
GgufValue GgufParser::array(GgufType type, std::uint64_t count) {
  std::vector<Wide> values;
  values.reserve(count);
  Stored stored{};
  for (std::uint64_t i = 0; i < count && reader_.read(stored); ++i)
    values.push_back(static_cast<Wide>(stored));
  return {std::move(values), type};
}

Result<GgufValue> GgufParser::booleans(const std::string& key, std::uint64_t count) {
  std::vector<bool> values;
  values.reserve(count);
  std::uint8_t stored = 0;
  for (std::uint64_t i = 0; i < count && reader_.read(stored); ++i) {
    if (stored > 1)
      return error("metadata key {} has the boolean {} at index {}, expected 0 or 1", quoted(key),
                   stored, i);
    values.push_back(stored == 1);
  }
  return GgufValue{std::move(values), GgufType::kBool};
}

Result<GgufValue> GgufParser::strings(const std::string& key, std::uint64_t count) {
  GgufValue::Strings values;
  values.reserve(count);
  std::string_view text;
  for (std::uint64_t i = 0; i < count; ++i) {
    if (!reader_.read_string(text))
      return truncated(
          fmt::format("string {} of {} of metadata key {}", i + 1, count, quoted(key)));
    values.push_back(text);
  }
  return GgufValue{std::move(values), GgufType::kString};
}

Result<GgufValue> GgufParser::parse_array(const std::string& key) {
  using enum GgufType;
  std::uint32_t element_type = 0;
  std::uint64_t count = 0;
  if (!reader_.read(element_type) || !reader_.read(count))
    return truncated("the array header of metadata key " + quoted(key));

  // Size of an element in the file, at least; by type id.
  constexpr std::size_t kElementBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, kStringBytesMin, 0, 8, 8, 8};
  const GgufType type{element_type};
  if (type == kArray)
    return error("metadata key {} is an array of arrays, which is not supported", quoted(key));
  if (element_type >= std::size(kElementBytes))
    return error("metadata key {} is an array of the unknown type {}, expected 0 to 12",
                 quoted(key), element_type);
  if (!reader_.has_room_for(count, kElementBytes[element_type]))
    return error("metadata key {} claims an array of {} elements, but {} bytes are left",
                 quoted(key), count, reader_.remaining());
  num_array_elements_ += count;
  if (num_array_elements_ > kArrayElementsMax)
    return error("has more than {} elements in metadata arrays, up to key {}", kArrayElementsMax,
                 quoted(key));

  switch (type) {
    case kUint8:
      return array<std::uint8_t, std::uint64_t>(type, count);
    case kInt8:
      return array<std::int8_t, std::int64_t>(type, count);
    case kUint16:
      return array<std::uint16_t, std::uint64_t>(type, count);
    case kInt16:
      return array<std::int16_t, std::int64_t>(type, count);
    case kUint32:
      return array<std::uint32_t, std::uint64_t>(type, count);
    case kInt32:
      return array<std::int32_t, std::int64_t>(type, count);
    case kUint64:
      return array<std::uint64_t, std::uint64_t>(type, count);
    case kInt64:
      return array<std::int64_t, std::int64_t>(type, count);
    case kFloat32:
      return array<float, double>(type, count);
    case kFloat64:
      return array<double, double>(type, count);
    case kBool:
      return booleans(key, count);
    default:
      return strings(key, count);
  }
}

Status GgufParser::parse_alignment() {
  const auto found = file_.metadata.find("general.alignment");
  if (found == file_.metadata.end()) return {};
  const auto* value = std::get_if<std::uint64_t>(&found->second.value);
  if (value == nullptr || !gguf::is_alignment(*value))
    return error("general.alignment is {}, expected a power of two from {} to {}",
                 found->second.describe(), gguf::kAlignmentMin, gguf::kAlignmentMax);
  alignment_ = *value;
  return {};
}

Status GgufParser::parse_tensor(std::uint64_t index) {
  std::string_view name;
  const auto which = [&] { return fmt::format("tensor {} of {}", index + 1, num_tensors_); };
  if (!reader_.read_string(name)) return truncated("the name of " + which());
  if (name.empty() || name.size() > gguf::kTensorNameBytesMax)
    return error("{} has a name of {} bytes, expected 1 to {}", which(), name.size(),
                 gguf::kTensorNameBytesMax);
  TensorView tensor;
  tensor.name = name;
  if (!tensor_names_.insert(tensor.name).second)
    return error("has the tensor {} twice", quoted(name));

  std::uint32_t dimensions = 0;
  if (!reader_.read(dimensions))
    return truncated("the number of dimensions of tensor " + quoted(name));
  if (dimensions > gguf::kDimensionsMax)
    return error("tensor {} has {} dimensions, expected at most {}", quoted(name), dimensions,
                 gguf::kDimensionsMax);
  RIDGELINE_TRY_STATUS(parse_shape(dimensions, tensor));

  std::uint32_t type_id = 0;
  std::uint64_t offset = 0;
  if (!reader_.read(type_id) || !reader_.read(offset))
    return truncated("the type and offset of tensor " + quoted(name));
  const auto dtype = dtype_from_gguf(type_id);
  if (!dtype) {
    const std::string_view known = gguf_type_name(type_id);
    return error("tensor {} has type {}, which is not supported; supported: {}", quoted(name),
                 known.empty() ? fmt::format("{}", type_id) : std::string(known),
                 supported_types());
  }
  tensor.dtype = *dtype;
  if (tensor.cols() % info(*dtype).block_elements != 0)
    return error("tensor {} of type {} has rows of {} elements, expected a multiple of {}",
                 quoted(name), info(*dtype).name, tensor.cols(), info(*dtype).block_elements);
  file_.tensors.push_back(std::move(tensor));
  offsets_.push_back(offset);
  return {};
}

/// GGUF has the innermost dimension first, a TensorView the outermost.
Status GgufParser::parse_shape(std::uint32_t dimensions, TensorView& tensor) {
  tensor.shape.resize(dimensions);
  for (std::uint32_t d = dimensions; d-- > 0;)
    if (!reader_.read(tensor.shape[d]))
      return truncated("the shape of tensor " + quoted(tensor.name));
  if (!gguf::count_elements(tensor.shape))
    return error(
        "tensor {} has the shape {}, expected sizes of at least 1 and a product below 2^60",
        quoted(tensor.name), shape_text(tensor.shape));
  return {};
}

/// Offsets are relative to the first aligned byte after the descriptions.
Status GgufParser::place_tensors() {
  const std::uint64_t file_bytes = bytes_.size();
  const std::uint64_t data_begin = (reader_.position() + alignment_ - 1) & ~(alignment_ - 1);
  for (std::size_t i = 0; i < file_.tensors.size(); ++i) {
    TensorView& tensor = file_.tensors[i];
    if (offsets_[i] % alignment_ != 0)
      return error("tensor {} is at offset {}, expected a multiple of the alignment {}",
                   quoted(tensor.name), offsets_[i], alignment_);
    const DTypeInfo& type = info(tensor.dtype);
    const auto blocks = static_cast<std::uint64_t>(tensor.elements() / type.block_elements);
    const auto block_bytes = static_cast<std::uint64_t>(type.block_bytes);
    const std::uint64_t room = data_begin < file_bytes && offsets_[i] < file_bytes - data_begin
                                   ? file_bytes - data_begin - offsets_[i]
                                   : 0;
    if (blocks > room / block_bytes)
      return error(
          "tensor {} ({} {}) at offset {} does not fit into the file: {} bytes are left for it",
          quoted(tensor.name), type.name, shape_text(tensor.shape), offsets_[i], room);
    tensor.data = bytes_.data() + data_begin + offsets_[i];
    tensor.bytes = blocks * block_bytes;
  }

  std::vector<const TensorView*> by_position;
  for (const TensorView& tensor : file_.tensors) by_position.push_back(&tensor);
  std::sort(by_position.begin(), by_position.end(),
            [](const auto* a, const auto* b) { return a->data < b->data; });
  for (std::size_t i = 1; i < by_position.size(); ++i) {
    const TensorView &before = *by_position[i - 1], &after = *by_position[i];
    if (before.data + before.bytes > after.data)
      return error("tensors {} and {} overlap", quoted(before.name), quoted(after.name));
  }
  return {};
}

}  // namespace

Result<Checkpoint::Contents> parse_gguf_contents(std::span<const std::byte> bytes,
                                                 const std::string& path) {
  return GgufParser(bytes, path).parse();
}

Result<Checkpoint> parse_gguf(std::span<const std::byte> bytes, const std::string& path) {
  RIDGELINE_TRY(Checkpoint::Contents contents, parse_gguf_contents(bytes, path));
  return Checkpoint(std::move(contents));
}

}  // namespace ridgeline
