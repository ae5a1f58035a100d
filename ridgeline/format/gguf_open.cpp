#include <fmt/format.h>

#include <filesystem>
#include <iterator>
#include <optional>
#include <set>
#include <utility>

#include "ridgeline/format/gguf.h"
#include "ridgeline/format/gguf_parser.h"
#include "ridgeline/format/gguf_text.h"

// A model that was split has its metadata in the first file and tensors in all; each file
// says split.no, split.count and, the first, split.tensors.count.

namespace ridgeline {
namespace {

using Contents = Checkpoint::Contents;

constexpr std::int64_t kFilesMax = 9999;

Result<Contents> open_one(const std::string& path) {
  RIDGELINE_TRY(MappedFile mapped, MappedFile::open(path));
  RIDGELINE_TRY(Contents contents, parse_gguf_contents(mapped.bytes(), path));
  contents.files.push_back(std::move(mapped));
  return contents;
}

/// An integer of a split's metadata; -1 where it is absent or something else.
std::int64_t split_number(const Contents& contents, std::string_view key) {
  const auto found = contents.metadata.find(key);
  if (found == contents.metadata.end()) return -1;
  return std::visit(
      []<class T>(const T& v) -> std::int64_t {
        if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>)
          return static_cast<std::int64_t>(v);
        else
          return -1;
      },
      found->second.value);
}

/// "model-00002-of-00003.gguf" is "model", 3 files.
std::optional<std::string> stem_of(const std::string& path, std::int64_t count) {
  for (std::int64_t i = 1; i <= count; ++i) {
    const std::string ending = fmt::format("-{:05}-of-{:05}.gguf", i, count);
    if (path.ends_with(ending)) return path.substr(0, path.size() - ending.size());
  }
  return std::nullopt;
}

Status append(Contents& all, Contents part, std::set<std::string>& names) {
  for (TensorView& tensor : part.tensors) {
    if (!names.insert(tensor.name).second)
      return fail(fmt::format("{}: has the tensor {}, which another part of the model has too",
                              part.path, gguf::quoted(tensor.name)));
    all.tensors.push_back(std::move(tensor));
  }
  std::move(part.files.begin(), part.files.end(), std::back_inserter(all.files));
  all.file_bytes += part.file_bytes;
  return {};
}

Result<Contents> open_all(const std::string& path, std::int64_t count) {
  if (count > kFilesMax)
    return fail(fmt::format("{}: metadata 'split.count' is {}, expected at most {}", path, count,
                            kFilesMax));
  const auto stem = stem_of(path, count);
  if (!stem)
    return fail(
        fmt::format("{}: is one of {} files of a model; expected a name that ends in "
                    "-00001-of-{:05}.gguf, by which the others are found",
                    path, count, count));
  Contents all;
  std::set<std::string> names;
  std::int64_t expected_tensors = -1;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::string part_path = fmt::format("{}-{:05}-of-{:05}.gguf", *stem, i + 1, count);
    std::error_code error;
    if (!std::filesystem::exists(part_path, error))
      return fail(fmt::format("{}: is missing: the model has {} files", part_path, count));
    RIDGELINE_TRY(Contents part, open_one(part_path));
    if (split_number(part, "split.count") != count || split_number(part, "split.no") != i)
      return fail(fmt::format("{}: says that it is file {} of {}, expected file {} of {}",
                              part_path, split_number(part, "split.no") + 1,
                              split_number(part, "split.count"), i + 1, count));
    if (i == 0) {
      expected_tensors = split_number(part, "split.tensors.count");
      all.path = part.path;
      all.format = part.format + fmt::format(", {} files", count);
      all.metadata = std::move(part.metadata);
    }
    RIDGELINE_TRY_STATUS(append(all, std::move(part), names));
  }
  if (expected_tensors >= 0 && static_cast<std::int64_t>(all.tensors.size()) != expected_tensors)
    return fail(
        fmt::format("{}: the {} files have {} tensors together, but metadata "
                    "'split.tensors.count' says {}",
                    all.path, count, all.tensors.size(), expected_tensors));
  return all;
}

}  // namespace

Result<Checkpoint> open_gguf(const std::string& path) {
  RIDGELINE_TRY(Contents contents, open_one(path));
  const std::int64_t count = split_number(contents, "split.count");
  if (count > 1) {
    RIDGELINE_TRY(contents, open_all(path, count));
  }
  return Checkpoint(std::move(contents));
}

}  // namespace ridgeline
