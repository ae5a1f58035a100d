#include "ridgeline/format/gguf.h"

#include <fmt/format.h>

#include <limits>
#include <utility>

#include "ridgeline/base/check.h"
#include "ridgeline/format/gguf_text.h"

namespace ridgeline {
namespace {

constexpr std::uint64_t kInt64Max = std::numeric_limits<std::int64_t>::max();

const char* plural_of(GgufType element) {
  switch (element) {
    case GgufType::kString:
      return "strings";
    case GgufType::kBool:
      return "booleans";
    case GgufType::kFloat32:
    case GgufType::kFloat64:
      return "numbers";
    default:
      return "integers";
  }
}

}  // namespace

namespace gguf {

std::string quoted(std::string_view name) {
  constexpr std::size_t kShownMax = 80;
  std::string out = "'";
  for (const char c : name.substr(0, kShownMax)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f)
      out += c;
    else
      out += fmt::format("\\x{:02x}", byte);
  }
  if (name.size() > kShownMax) out += "...";
  return out + "'";
}

std::string type_text(GgufType type) {
  constexpr const char* kNames[] = {"uint8",  "int8",    "uint16",  "int16",  "uint32",
                                    "int32",  "float32", "boolean", "string", "array",
                                    "uint64", "int64",   "float64"};
  const auto id = static_cast<std::uint32_t>(type);
  return id < std::size(kNames) ? kNames[id] : fmt::format("type {}", id);
}

}  // namespace gguf

std::string GgufValue::describe() const {
  return std::visit(
      [this]<class T>(const T& v) -> std::string {
        if constexpr (std::is_same_v<T, bool>)
          return fmt::format("the boolean {}", v);
        else if constexpr (std::is_same_v<T, double>)
          return fmt::format("the number {}", v);
        else if constexpr (std::is_integral_v<T>)
          return fmt::format("the integer {}", v);
        else if constexpr (std::is_same_v<T, std::string_view>)
          return fmt::format("the string {}", gguf::quoted(v));
        else
          return fmt::format("an array of {} {}", v.size(), plural_of(type));
      },
      value);
}

Result<GgufFile> GgufFile::open(const std::string& path) {
  RIDGELINE_TRY(MappedFile mapped, MappedFile::open(path));
  RIDGELINE_TRY(GgufFile file, parse(mapped.bytes(), path));
  file.file_ = std::move(mapped);
  return file;
}

const GgufValue* GgufFile::find(std::string_view key) const {
  const auto it = metadata_.find(key);
  return it == metadata_.end() ? nullptr : &it->second;
}

tl::unexpected<Error> GgufFile::mismatch(std::string_view key, const GgufValue& value,
                                         const char* expected) const {
  return fail(fmt::format("{}: metadata key {} is {}, expected {}", path_, gguf::quoted(key),
                          value.describe(), expected));
}

Result<std::optional<std::int64_t>> GgufFile::integer(std::string_view key) const {
  const GgufValue* found = find(key);
  if (found == nullptr) return std::nullopt;
  if (const auto* v = std::get_if<std::int64_t>(&found->value)) return *v;
  const auto* v = std::get_if<std::uint64_t>(&found->value);
  if (v == nullptr) return mismatch(key, *found, "an integer");
  if (*v > kInt64Max) return mismatch(key, *found, "an integer below 2^63");
  return static_cast<std::int64_t>(*v);
}

Result<std::optional<double>> GgufFile::number(std::string_view key) const {
  const GgufValue* found = find(key);
  if (found == nullptr) return std::nullopt;
  if (const auto* v = std::get_if<double>(&found->value)) return *v;
  if (const auto* v = std::get_if<std::int64_t>(&found->value)) return static_cast<double>(*v);
  if (const auto* v = std::get_if<std::uint64_t>(&found->value)) return static_cast<double>(*v);
  return mismatch(key, *found, "a number");
}

Result<std::optional<bool>> GgufFile::boolean(std::string_view key) const {
  const GgufValue* found = find(key);
  if (found == nullptr) return std::nullopt;
  if (const auto* v = std::get_if<bool>(&found->value)) return *v;
  return mismatch(key, *found, "a boolean");
}

Result<std::optional<std::string_view>> GgufFile::string(std::string_view key) const {
  const GgufValue* found = find(key);
  if (found == nullptr) return std::nullopt;
  if (const auto* v = std::get_if<std::string_view>(&found->value)) return *v;
  return mismatch(key, *found, "a string");
}

Result<std::optional<GgufValue::Strings>> GgufFile::strings(std::string_view key) const {
  const GgufValue* found = find(key);
  if (found == nullptr) return std::nullopt;
  if (const auto* v = std::get_if<GgufValue::Strings>(&found->value)) return *v;
  return mismatch(key, *found, "an array of strings");
}

Result<std::optional<std::vector<std::int64_t>>> GgufFile::integers(std::string_view key) const {
  const GgufValue* found = find(key);
  if (found == nullptr) return std::nullopt;
  if (const auto* v = std::get_if<std::vector<std::int64_t>>(&found->value)) return *v;
  const auto* v = std::get_if<std::vector<std::uint64_t>>(&found->value);
  if (v == nullptr) return mismatch(key, *found, "an array of integers");
  std::vector<std::int64_t> out;
  out.reserve(v->size());
  for (const std::uint64_t element : *v) {
    if (element > kInt64Max)
      return fail(
          fmt::format("{}: metadata key {} has the element {}, expected integers below 2^63", path_,
                      gguf::quoted(key), element));
    out.push_back(static_cast<std::int64_t>(element));
  }
  return out;
}

Result<std::optional<std::vector<double>>> GgufFile::numbers(std::string_view key) const {
  const GgufValue* found = find(key);
  if (found == nullptr) return std::nullopt;
  if (const auto* v = std::get_if<std::vector<double>>(&found->value)) return *v;
  const auto widened = [](const auto& v) {
    std::vector<double> out;
    out.reserve(v.size());
    for (const auto element : v) out.push_back(static_cast<double>(element));
    return out;
  };
  if (const auto* v = std::get_if<std::vector<std::int64_t>>(&found->value)) return widened(*v);
  if (const auto* v = std::get_if<std::vector<std::uint64_t>>(&found->value)) return widened(*v);
  return mismatch(key, *found, "an array of numbers");
}

Result<std::optional<std::vector<bool>>> GgufFile::booleans(std::string_view key) const {
  const GgufValue* found = find(key);
  if (found == nullptr) return std::nullopt;
  if (const auto* v = std::get_if<std::vector<bool>>(&found->value)) return *v;
  return mismatch(key, *found, "an array of booleans");
}

const TensorView* GgufFile::tensor(std::string_view name) const {
  const auto it = tensor_index_.find(name);
  return it == tensor_index_.end() ? nullptr : &tensors_[it->second];
}

void GgufFile::release(const TensorView& tensor) const {
  RIDGELINE_CHECK(tensor.data >= bytes_.data() && tensor.data <= bytes_.data() + bytes_.size());
  file_.release(static_cast<std::size_t>(tensor.data - bytes_.data()), tensor.bytes);
}

void GgufFile::will_read(const TensorView& tensor) const {
  RIDGELINE_CHECK(tensor.data >= bytes_.data() && tensor.data <= bytes_.data() + bytes_.size());
  file_.will_read(static_cast<std::size_t>(tensor.data - bytes_.data()), tensor.bytes);
}

}  // namespace ridgeline
