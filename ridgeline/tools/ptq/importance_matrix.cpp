#include "ridgeline/tools/ptq/importance_matrix.h"

#include <fmt/format.h>

#include <algorithm>

#include "ridgeline/base/check.h"
#include "ridgeline/platform/mapped_file.h"
#include "ridgeline/tools/ptq/importance_file.h"

namespace ridgeline::ptq {
namespace {

void append_means(std::span<const double> sums, double count, std::vector<float>& means) {
  for (const double sum : sums) means.push_back(count > 0 ? static_cast<float>(sum / count) : 1.0f);
}

}  // namespace

std::vector<float> ImportanceMatrix::Entry::mean_squares(std::int64_t matrix) const {
  const auto m = static_cast<std::size_t>(matrix);
  const auto width = static_cast<std::size_t>(cols());
  RIDGELINE_CHECK(m < counts.size());
  std::vector<float> means;
  means.reserve(width);
  append_means(std::span(sums).subspan(m * width, width), counts[m], means);
  return means;
}

Result<ImportanceMatrix> ImportanceMatrix::read(const std::string& path) {
  RIDGELINE_TRY(const MappedFile file, MappedFile::open(path));
  return parse(file.bytes(), path);
}

Result<ImportanceMatrix> ImportanceMatrix::parse(std::span<const std::byte> bytes,
                                                 const std::string& path) {
  return is_gguf(bytes) ? parse_importance_gguf(bytes, path) : parse_importance_dat(bytes, path);
}

Status ImportanceMatrix::write(const std::string& path) const {
  for (const auto& [name, entry] : entries_)
    RIDGELINE_TRY_STATUS(check_importance("cannot write " + path, name, entry));
  return path.ends_with(".dat") ? write_importance_dat(*this, path)
                                : write_importance_gguf(*this, path);
}

const ImportanceMatrix::Entry* ImportanceMatrix::find(std::string_view tensor) const {
  const auto found = entries_.find(tensor);
  return found == entries_.end() ? nullptr : &found->second;
}

Result<std::vector<float>> ImportanceMatrix::mean_squares(std::string_view tensor,
                                                          std::int64_t matrices,
                                                          std::int64_t cols) const {
  std::vector<float> means;
  const Entry* entry = find(tensor);
  if (entry == nullptr) return means;
  const auto m = static_cast<std::size_t>(matrices), width = static_cast<std::size_t>(cols);
  const std::size_t counts = entry->counts.size();
  if (entry->sums.size() != m * width || (counts != m && counts != 1))
    return fail(
        fmt::format("the importance matrix has {} sums and {} counts for '{}', expected {} x {} "
                    "and {}: it was made with another model",
                    entry->sums.size(), counts, tensor, matrices, cols, matrices));
  means.reserve(m * width);
  for (std::size_t i = 0; i < m; ++i)
    append_means(std::span(entry->sums).subspan(i * width, width),
                 entry->counts[counts == 1 ? 0 : i], means);
  return means;
}

}  // namespace ridgeline::ptq
