#include "ridgeline/format/gguf_writer.h"

#include <fmt/format.h>

#include <bit>
#include <limits>
#include <set>
#include <string_view>

#include "ridgeline/base/check.h"
#include "ridgeline/format/gguf_layout.h"
#include "ridgeline/format/gguf_text.h"

namespace ridgeline {
namespace {

using gguf::quoted;

std::size_t padding(std::size_t bytes, std::size_t alignment) {
  return (alignment - bytes % alignment) % alignment;
}

/// The header's bytes: everything that stands before the tensor data.
class HeaderWriter {
 public:
  explicit HeaderWriter(const std::string& path) : path_(path) {}

  Status write(const GgufMetadata& metadata, std::span<const GgufTensorInfo> tensors) {
    put(gguf::kMagic);
    put(std::uint32_t{3});
    put(static_cast<std::uint64_t>(tensors.size()));
    put(static_cast<std::uint64_t>(metadata.size()));
    for (const auto& [key, value] : metadata) RIDGELINE_TRY_STATUS(put_pair(key, value));
    std::size_t offset = 0;
    for (const GgufTensorInfo& tensor : tensors) {
      RIDGELINE_TRY_STATUS(put_tensor(tensor, offset));
      offset += tensor_bytes_.back() + padding(tensor_bytes_.back(), alignment_);
    }
    bytes_.resize(bytes_.size() + padding(bytes_.size(), alignment_));
    return {};
  }

  const std::string& bytes() const { return bytes_; }
  std::size_t alignment() const { return alignment_; }
  const std::vector<std::size_t>& tensor_bytes() const { return tensor_bytes_; }

 private:
  template <class... Args>
  tl::unexpected<Error> error(fmt::format_string<Args...> format, Args&&... args) const {
    return fail("cannot write " + path_ + ": " + fmt::format(format, std::forward<Args>(args)...));
  }

  template <class T>
  void put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void put_string(std::string_view text) {
    put(static_cast<std::uint64_t>(text.size()));
    bytes_.append(text);
  }

  Status put_pair(const std::string& key, const GgufValue& value);
  bool put_value(GgufType type, const GgufValue::Storage& value);
  Status put_tensor(const GgufTensorInfo& tensor, std::size_t offset);

  /// False where the stored type cannot hold the number.
  template <class Stored, class Wide>
  bool put_number(Wide wide) {
    const auto stored = static_cast<Stored>(wide);
    if (std::is_integral_v<Stored> && static_cast<Wide>(stored) != wide) return false;
    put(stored);
    return true;
  }
  bool put_element(GgufType type, std::uint64_t v);
  bool put_element(GgufType type, std::int64_t v);
  bool put_element(GgufType type, double v);
  bool put_element(GgufType type, bool v) {
    put(static_cast<std::uint8_t>(v));
    return type == GgufType::kBool;
  }
  bool put_element(GgufType type, std::string_view v) {
    put_string(v);
    return type == GgufType::kString;
  }

  std::string path_;
  std::string bytes_;
  std::size_t alignment_ = gguf::kAlignmentDefault;
  std::vector<std::size_t> tensor_bytes_;
  std::set<std::string_view> keys_, names_;
};

bool HeaderWriter::put_element(GgufType type, std::uint64_t v) {
  switch (type) {
    case GgufType::kUint8:
      return put_number<std::uint8_t>(v);
    case GgufType::kUint16:
      return put_number<std::uint16_t>(v);
    case GgufType::kUint32:
      return put_number<std::uint32_t>(v);
    case GgufType::kUint64:
      return put_number<std::uint64_t>(v);
    default:
      return false;
  }
}

bool HeaderWriter::put_element(GgufType type, std::int64_t v) {
  switch (type) {
    case GgufType::kInt8:
      return put_number<std::int8_t>(v);
    case GgufType::kInt16:
      return put_number<std::int16_t>(v);
    case GgufType::kInt32:
      return put_number<std::int32_t>(v);
    case GgufType::kInt64:
      return put_number<std::int64_t>(v);
    default:
      return false;
  }
}

bool HeaderWriter::put_element(GgufType type, double v) {
  if (type == GgufType::kFloat32) return put_number<float>(v);
  return type == GgufType::kFloat64 && put_number<double>(v);
}

bool HeaderWriter::put_value(GgufType type, const GgufValue::Storage& value) {
  return std::visit(
      [this, type]<class T>(const T& v) {
        if constexpr (gguf_detail::IsVector<T>::value) {
          put(GgufType::kArray);
          put(type);
          put(static_cast<std::uint64_t>(v.size()));
          for (const typename T::value_type element : v)
            if (!put_element(type, element)) return false;
          return true;
        } else {
          put(type);
          return put_element(type, v);
        }
      },
      value);
}

Status HeaderWriter::put_pair(const std::string& key, const GgufValue& value) {
  if (key.empty() || key.size() > gguf::kKeyBytesMax)
    return error("a metadata key has {} bytes, expected 1 to {}", key.size(), gguf::kKeyBytesMax);
  if (!keys_.insert(key).second) return error("metadata key {} comes twice", quoted(key));
  put_string(key);
  if (!put_value(value.type, value.value))
    return error("metadata key {} is {}, which type {} cannot hold", quoted(key), value.describe(),
                 gguf::type_text(value.type));
  if (key == "general.alignment") {
    const auto* alignment = std::get_if<std::uint64_t>(&value.value);
    if (alignment == nullptr || !gguf::is_alignment(*alignment))
      return error("general.alignment is {}, expected a power of two from {} to {}",
                   value.describe(), gguf::kAlignmentMin, gguf::kAlignmentMax);
    alignment_ = *alignment;
  }
  return {};
}

Status HeaderWriter::put_tensor(const GgufTensorInfo& tensor, std::size_t offset) {
  if (tensor.name.empty() || tensor.name.size() > gguf::kTensorNameBytesMax)
    return error("tensor {} has a name of {} bytes, expected 1 to {}", quoted(tensor.name),
                 tensor.name.size(), gguf::kTensorNameBytesMax);
  if (!names_.insert(tensor.name).second)
    return error("tensor {} comes twice", quoted(tensor.name));
  if (tensor.shape.size() > gguf::kDimensionsMax)
    return error("tensor {} has {} dimensions, expected at most {}", quoted(tensor.name),
                 tensor.shape.size(), gguf::kDimensionsMax);
  const DTypeInfo& type = info(tensor.dtype);
  if (!is_gguf_type(tensor.dtype))
    return error("tensor {} has type {}, which GGUF does not have", quoted(tensor.name), type.name);
  const auto elements = gguf::count_elements(tensor.shape);
  const std::int64_t cols = tensor.shape.empty() ? 1 : tensor.shape.back();
  if (!elements || cols % type.block_elements != 0)
    return error(
        "tensor {} of type {} has the shape [{}], expected sizes of at least 1 and rows of "
        "a multiple of {}",
        quoted(tensor.name), type.name, fmt::join(tensor.shape, ", "), type.block_elements);
  tensor_bytes_.push_back(row_bytes(tensor.dtype, *elements));

  put_string(tensor.name);
  put(static_cast<std::uint32_t>(tensor.shape.size()));
  for (auto it = tensor.shape.rbegin(); it != tensor.shape.rend(); ++it) put(*it);
  put(static_cast<std::uint32_t>(tensor.dtype));
  put(static_cast<std::uint64_t>(offset));
  return {};
}

}  // namespace

Result<GgufWriter> GgufWriter::create(const std::string& path, const GgufMetadata& metadata,
                                      std::span<const GgufTensorInfo> tensors) {
  HeaderWriter header(path);
  RIDGELINE_TRY_STATUS(header.write(metadata, tensors));

  GgufWriter writer;
  writer.alignment_ = header.alignment();
  writer.tensor_bytes_ = header.tensor_bytes();
  std::size_t bytes = header.bytes().size();
  for (const std::size_t tensor : writer.tensor_bytes_)
    bytes += tensor + padding(tensor, writer.alignment_);

  const std::size_t slash = path.rfind('/');
  const std::size_t name = slash == std::string::npos ? 0 : slash + 1;
  AtomicFile::remove_abandoned(name == 0 ? "." : path.substr(0, name), path.substr(name) + ".");
  RIDGELINE_TRY(AtomicFile file, AtomicFile::create(path, bytes));
  writer.file_.emplace(std::move(file));
  RIDGELINE_TRY_STATUS(writer.file_->write(0, std::as_bytes(std::span(header.bytes()))));
  writer.offset_ = header.bytes().size();
  return writer;
}

Status GgufWriter::append(std::span<const std::byte> bytes) {
  if (bytes.empty()) return {};
  RIDGELINE_CHECK(file_ && tensor_ < tensor_bytes_.size());
  RIDGELINE_CHECK(bytes.size() <= tensor_bytes_[tensor_] - written_);
  RIDGELINE_TRY_STATUS(file_->write(offset_, bytes));
  offset_ += bytes.size();
  written_ += bytes.size();
  if (written_ < tensor_bytes_[tensor_]) return {};

  offset_ += padding(written_, alignment_);  // the file is made of zeros
  ++tensor_;
  written_ = 0;
  return {};
}

Status GgufWriter::finish() {
  RIDGELINE_CHECK(file_ && tensor_ == tensor_bytes_.size());
  RIDGELINE_TRY(const MappedFile whole, file_->publish());
  file_.reset();
  return {};
}

Status write_gguf(const std::string& path, const GgufMetadata& metadata,
                  std::span<const TensorView> tensors) {
  std::vector<GgufTensorInfo> infos;
  for (const TensorView& tensor : tensors)
    infos.push_back({tensor.name, tensor.dtype, tensor.shape});
  RIDGELINE_TRY(GgufWriter writer, GgufWriter::create(path, metadata, infos));
  for (const TensorView& tensor : tensors) {
    if (tensor.bytes != row_bytes(tensor.dtype, tensor.elements()))
      return fail(fmt::format("cannot write {}: tensor {} has {} bytes, its shape takes {}", path,
                              quoted(tensor.name), tensor.bytes,
                              row_bytes(tensor.dtype, tensor.elements())));
    RIDGELINE_TRY_STATUS(writer.append({tensor.data, tensor.bytes}));
  }
  return writer.finish();
}

}  // namespace ridgeline
