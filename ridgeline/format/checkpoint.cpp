#include "ridgeline/format/checkpoint.h"

#include <fmt/format.h>

#include <limits>
#include <utility>

#include "ridgeline/base/check.h"
#include "ridgeline/format/gguf_text.h"

namespace ridgeline {
namespace {

constexpr std::uint64_t kInt64Max = std::numeric_limits<std::int64_t>::max();

}  // namespace

Checkpoint::Checkpoint(Contents contents) : contents_(std::move(contents)) {
  // The names stay where they are: moving a vector moves none of its elements.
  for (std::size_t i = 0; i < contents_.tensors.size(); ++i)
    RIDGELINE_CHECK(tensor_index_.try_emplace(contents_.tensors[i].name, i).second);
}

std::vector<FileIdentity> Checkpoint::identities() const {
  std::vector<FileIdentity> out;
  for (const MappedFile& file : contents_.files) out.push_back(file.identity());
  return out;
}

const GgufValue* Checkpoint::find(std::string_view key) const {
  const auto it = contents_.metadata.find(key);
  return it == contents_.metadata.end() ? nullptr : &it->second;
}

tl::unexpected<Error> Checkpoint::mismatch(std::string_view key, const GgufValue& value,
                                           const char* expected) const {
  return fail(fmt::format("{}: metadata key {} is {}, expected {}", contents_.path,
                          gguf::quoted(key), value.describe(), expected));
}

Result<std::optional<std::int64_t>> Checkpoint::integer(std::string_view key) const {
  const GgufValue* found = find(key);
  if (found == nullptr) return std::nullopt;
  if (const auto* v = std::get_if<std::int64_t>(&found->value)) return *v;
  const auto* v = std::get_if<std::uint64_t>(&found->value);
  if (v == nullptr) return mismatch(key, *found, "an integer");
  if (*v > kInt64Max) return mismatch(key, *found, "an integer below 2^63");
  return static_cast<std::int64_t>(*v);
}

Result<std::optional<double>> Checkpoint::number(std::string_view key) const {
  const GgufValue* found = find(key);
  if (found == nullptr) return std::nullopt;
  if (const auto* v = std::get_if<double>(&found->value)) return *v;
  if (const auto* v = std::get_if<std::int64_t>(&found->value)) return static_cast<double>(*v);
  if (const auto* v = std::get_if<std::uint64_t>(&found->value)) return static_cast<double>(*v);
  return mismatch(key, *found, "a number");
}

Result<std::optional<bool>> Checkpoint::boolean(std::string_view key) const {
  const GgufValue* found = find(key);
  if (found == nullptr) return std::nullopt;
  if (const auto* v = std::get_if<bool>(&found->value)) return *v;
  return mismatch(key, *found, "a boolean");
}

Result<std::optional<std::string_view>> Checkpoint::string(std::string_view key) const {
  const GgufValue* found = find(key);
  if (found == nullptr) return std::nullopt;
  if (const auto* v = std::get_if<std::string_view>(&found->value)) return *v;
  return mismatch(key, *found, "a string");
}

Result<std::optional<GgufValue::Strings>> Checkpoint::strings(std::string_view key) const {
  const GgufValue* found = find(key);
  if (found == nullptr) return std::nullopt;
  if (const auto* v = std::get_if<GgufValue::Strings>(&found->value)) return *v;
  return mismatch(key, *found, "an array of strings");
}

Result<std::optional<std::vector<std::int64_t>>> Checkpoint::integers(std::string_view key) const {
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
          fmt::format("{}: metadata key {} has the element {}, expected integers below 2^63",
                      contents_.path, gguf::quoted(key), element));
    out.push_back(static_cast<std::int64_t>(element));
  }
  return out;
}

Result<std::optional<std::vector<double>>> Checkpoint::numbers(std::string_view key) const {
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

Result<std::optional<std::vector<bool>>> Checkpoint::booleans(std::string_view key) const {
  const GgufValue* found = find(key);
  if (found == nullptr) return std::nullopt;
  if (const auto* v = std::get_if<std::vector<bool>>(&found->value)) return *v;
  return mismatch(key, *found, "an array of booleans");
}

const TensorView* Checkpoint::tensor(std::string_view name) const {
  const auto it = tensor_index_.find(name);
  return it == tensor_index_.end() ? nullptr : &contents_.tensors[it->second];
}

const MappedFile* Checkpoint::file_of(const TensorView& tensor, std::size_t& offset) const {
  const auto at = reinterpret_cast<std::uintptr_t>(tensor.data);
  for (const MappedFile& file : contents_.files) {
    const auto begin = reinterpret_cast<std::uintptr_t>(file.bytes().data());
    if (at < begin || at >= begin + file.bytes().size()) continue;
    offset = at - begin;
    return &file;
  }
  return nullptr;
}

void Checkpoint::release(const TensorView& tensor) const {
  std::size_t offset = 0;
  if (const MappedFile* file = file_of(tensor, offset)) file->release(offset, tensor.bytes);
}

void Checkpoint::will_read(const TensorView& tensor) const {
  std::size_t offset = 0;
  if (const MappedFile* file = file_of(tensor, offset)) file->will_read(offset, tensor.bytes);
}

}  // namespace ridgeline
