#include "ridgeline/format/stack_experts.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace ridgeline {
namespace {

/// "blk.0.ffn_gate.3.weight" is expert 3 of "blk.0.ffn_gate".
struct ExpertName {
  std::string stem;
  std::int64_t expert;
};

std::optional<ExpertName> expert_name(std::string_view name) {
  constexpr std::string_view kSuffix = ".weight";
  if (!name.starts_with("blk.") || !name.ends_with(kSuffix)) return std::nullopt;
  name.remove_suffix(kSuffix.size());
  const std::size_t dot = name.rfind('.');
  std::int64_t expert = 0;
  const char* const end = name.data() + name.size();
  const auto [at, error] = std::from_chars(name.data() + dot + 1, end, expert);
  const std::string_view stem = name.substr(0, dot);
  if (error != std::errc{} || at != end || expert < 0) return std::nullopt;
  for (const std::string_view kind : {".ffn_gate", ".ffn_up", ".ffn_down"})
    if (stem.ends_with(kind)) return ExpertName{std::string(stem), expert};
  return std::nullopt;
}

/// An expert's matrix and the mapped file that it lies in, if it lies in one.
struct Part {
  TensorView view;
  const MappedFile* file = nullptr;
  std::size_t offset = 0;

  void copy(std::int64_t first, std::int64_t count, std::byte* to) const {
    std::vector<std::byte> scratch;
    const auto rows = view.read_rows(first, count, scratch);
    std::memcpy(to, rows.data(), rows.size());
    if (file != nullptr) file->release(offset, view.bytes);
  }
};

void find_file(const std::vector<MappedFile>& files, Part& part) {
  for (const MappedFile& file : files) {
    const auto begin = reinterpret_cast<std::uintptr_t>(file.bytes().data());
    const auto at = reinterpret_cast<std::uintptr_t>(part.view.data);
    if (at < begin || at - begin >= file.bytes().size()) continue;
    part.file = &file;
    part.offset = at - begin;
  }
}

TensorView stacked(std::string name, std::vector<Part> parts) {
  const TensorView& first = parts.front().view;
  TensorView out;
  out.name = std::move(name);
  out.dtype = first.dtype;
  out.shape = {static_cast<std::int64_t>(parts.size()), first.rows(), first.cols()};
  out.data = first.data;
  out.bytes = first.bytes;
  const std::int64_t rows = first.rows();
  const std::size_t stride = row_bytes(first.dtype, first.cols());
  // Shared, as a std::function is copied.
  const auto shared = std::make_shared<const std::vector<Part>>(std::move(parts));
  out.convert = [shared, rows, stride](std::int64_t row, std::int64_t count, std::byte* to) {
    while (count > 0) {
      const std::int64_t n = std::min(count, rows - row % rows);
      (*shared)[static_cast<std::size_t>(row / rows)].copy(row % rows, n, to);
      row += n;
      count -= n;
      to += static_cast<std::size_t>(n) * stride;
    }
  };
  return out;
}

}  // namespace

Result<Checkpoint> stack_experts(Checkpoint checkpoint) {
  Checkpoint::Contents contents = std::move(checkpoint).take();
  std::map<std::string, std::map<std::int64_t, Part>> stacks;
  std::vector<TensorView> tensors;
  for (TensorView& t : contents.tensors) {
    auto name = expert_name(t.name);
    if (!name) {
      tensors.push_back(std::move(t));
      continue;
    }
    Part part{std::move(t)};
    find_file(contents.files, part);
    stacks[name->stem].emplace(name->expert, std::move(part));
  }
  for (auto& [stem, experts] : stacks) {
    const TensorView& first = experts.begin()->second.view;
    std::vector<Part> parts;
    for (auto& [expert, part] : experts) {
      if (expert != static_cast<std::int64_t>(parts.size()))
        return fail(fmt::format("{}: tensor '{}.{}.weight' is missing: there is one of expert {}",
                                contents.path, stem, parts.size(), expert));
      if (part.view.shape != first.shape || part.view.dtype != first.dtype)
        return fail(
            fmt::format("{}: tensors '{}' and '{}' differ in shape or type, expected "
                        "experts of equal ones",
                        contents.path, first.name, part.view.name));
      parts.push_back(part);
    }
    tensors.push_back(stacked(stem + "_exps.weight", std::move(parts)));
  }
  std::map<std::string_view, int> names;
  for (const TensorView& t : tensors)
    if (names[t.name]++ > 0)
      return fail(
          fmt::format("{}: has tensor '{}' and also its experts apart", contents.path, t.name));
  contents.tensors = std::move(tensors);
  return Checkpoint(std::move(contents));
}

}  // namespace ridgeline
