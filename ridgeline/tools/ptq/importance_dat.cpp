// An importance matrix in llama.cpp's older form, and what both forms must hold to.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ridgeline/format/byte_reader.h"
#include "ridgeline/format/gguf_layout.h"
#include "ridgeline/format/gguf_text.h"
#include "ridgeline/platform/atomic_file.h"
#include "ridgeline/tools/ptq/importance_file.h"

namespace ridgeline::ptq {
namespace {

using gguf::quoted;

constexpr double kInt32Max = std::numeric_limits<std::int32_t>::max();

class DatReader {
 public:
  DatReader(std::span<const std::byte> bytes, const std::string& path)
      : reader_(bytes), path_(path) {}

  Result<ImportanceMatrix> read() {
    std::int32_t entries = 0;
    // An entry takes 17 bytes at least, with a name and a value.
    if (!reader_.read(entries) || entries < 1 ||
        !reader_.has_room_for(static_cast<std::uint64_t>(entries), 17))
      return fail(
          fmt::format("{}: is no importance matrix: neither GGUF nor a count of entries "
                      "that fit the file of {} bytes",
                      path_, reader_.position() + reader_.remaining()));
    for (std::int32_t i = 0; i < entries; ++i) RIDGELINE_TRY_STATUS(read_entry(i));
    if (reader_.remaining() > 0) RIDGELINE_TRY_STATUS(read_trailer());
    if (reader_.remaining() > 0)
      return fail(fmt::format("{}: {} bytes follow the end", path_, reader_.remaining()));
    return std::move(matrix_);
  }

 private:
  Status read_entry(std::int32_t index) {
    std::string name;
    RIDGELINE_TRY_STATUS(
        read_text(fmt::format("the name of entry {}", index + 1), gguf::kTensorNameBytesMax, name));
    if (name.empty()) return fail(fmt::format("{}: entry {} has no name", path_, index + 1));
    std::int32_t calls = 0, values = 0;
    if (!reader_.read(calls) || !reader_.read(values)) return ends_in(quoted(name));
    if (calls < 1 || values < 1)
      return fail(fmt::format("{}: entry {} has {} values of {} calls, expected at least 1", path_,
                              quoted(name), values, calls));
    if (!reader_.has_room_for(static_cast<std::uint64_t>(values), sizeof(float)))
      return ends_in(quoted(name));
    const auto [place, is_new] = matrix_.entries().try_emplace(name);
    if (!is_new) return fail(fmt::format("{}: entry {} comes twice", path_, quoted(name)));
    ImportanceMatrix::Entry& entry = place->second;
    entry.counts = {static_cast<double>(calls)};
    entry.sums.resize(static_cast<std::size_t>(values));
    for (double& sum : entry.sums) {
      float value = 0;
      reader_.read(value);
      sum = static_cast<double>(value);
    }
    return check_importance(path_, name, entry);
  }

  Status read_trailer() {
    constexpr std::size_t kDatasetBytesMax = 1 << 16;
    std::int32_t chunks = 0;
    std::string dataset;
    if (!reader_.read(chunks)) return ends_in("the number of chunks");
    if (chunks < 0)
      return fail(fmt::format("{}: the number of chunks is {}, expected 0 or more", path_, chunks));
    matrix_.chunks = chunks;
    RIDGELINE_TRY_STATUS(read_text("the dataset's name", kDatasetBytesMax, dataset));
    if (!dataset.empty()) matrix_.datasets = {std::move(dataset)};
    return {};
  }

  Status read_text(const std::string& what, std::size_t bytes_max, std::string& text) {
    std::int32_t length = 0;
    if (!reader_.read(length)) return ends_in(what);
    if (length < 0 || static_cast<std::size_t>(length) > bytes_max)
      return fail(
          fmt::format("{}: {} has {} bytes, expected at most {}", path_, what, length, bytes_max));
    text.resize(static_cast<std::size_t>(length));
    if (!reader_.has_room_for(text.size(), 1)) return ends_in(what);
    for (char& c : text) reader_.read(c);
    return {};
  }

  tl::unexpected<Error> ends_in(const std::string& what) const {
    return fail(fmt::format("{}: the file ends in {}", path_, what));
  }

  ByteReader reader_;
  const std::string& path_;
  ImportanceMatrix matrix_;
};

class DatWriter {
 public:
  template <class T>
  void put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void put_text(const std::string& text) {
    put(static_cast<std::int32_t>(text.size()));
    bytes_ += text;
  }

  void put_entry(const std::string& name, const ImportanceMatrix::Entry& entry, double calls) {
    put_text(name);
    put(static_cast<std::int32_t>(calls));
    put(static_cast<std::int32_t>(entry.sums.size()));
    const auto cols = static_cast<std::size_t>(entry.cols());
    for (std::size_t i = 0; i < entry.sums.size(); ++i) {
      const double count = entry.counts[i / cols];
      put(static_cast<float>(count > 0 ? entry.sums[i] / count * calls : calls));
    }
  }

  std::span<const std::byte> bytes() const { return std::as_bytes(std::span(bytes_)); }

 private:
  std::string bytes_;
};

}  // namespace

Status check_importance(const std::string& path, const std::string& tensor,
                        const ImportanceMatrix::Entry& entry) {
  const std::size_t sums = entry.sums.size(), counts = entry.counts.size();
  if (tensor.empty() || sums == 0 || counts == 0 || sums % counts != 0)
    return fail(
        fmt::format("{}: entry {} has {} sums and {} counts, expected a count for each "
                    "matrix",
                    path, quoted(tensor), sums, counts));
  const auto check = [&](const std::vector<double>& values, const char* what) -> Status {
    for (std::size_t i = 0; i < values.size(); ++i)
      if (!(values[i] >= 0 && values[i] <= std::numeric_limits<float>::max()))
        return fail(
            fmt::format("{}: {} {} of entry {} is {}, expected a finite number of at "
                        "least 0",
                        path, what, i, quoted(tensor), values[i]));
    return {};
  };
  RIDGELINE_TRY_STATUS(check(entry.sums, "sum"));
  return check(entry.counts, "count");
}

Result<ImportanceMatrix> parse_importance_dat(std::span<const std::byte> bytes,
                                              const std::string& path) {
  return DatReader(bytes, path).read();
}

Status write_importance_dat(const ImportanceMatrix& matrix, const std::string& path) {
  // A file that came without them counted calls.
  const auto chunk_size = static_cast<double>(std::max<std::int64_t>(matrix.chunk_size, 1));
  const auto calls_of = [chunk_size](const ImportanceMatrix::Entry& entry) {
    return std::ceil(*std::ranges::max_element(entry.counts) / chunk_size);
  };
  const auto entries = std::ranges::count_if(
      matrix.entries(), [&](const auto& named) { return calls_of(named.second) > 0; });
  if (entries == 0) return fail(fmt::format("cannot write {}: no text reached any matrix", path));
  if (matrix.chunks < 0 || static_cast<double>(matrix.chunks) > kInt32Max)
    return fail(fmt::format("cannot write {}: {} chunks, expected a number of 32 bits", path,
                            matrix.chunks));
  DatWriter out;
  out.put(static_cast<std::int32_t>(entries));
  for (const auto& [name, entry] : matrix.entries()) {
    const double calls = calls_of(entry);
    if (calls > kInt32Max || static_cast<double>(entry.sums.size()) > kInt32Max)
      return fail(
          fmt::format("cannot write {}: entry {} has {} sums of {} calls, more than the "
                      "format counts; write GGUF",
                      path, quoted(name), entry.sums.size(), calls));
    if (calls > 0) out.put_entry(name, entry, calls);
  }
  out.put(static_cast<std::int32_t>(matrix.chunks));
  out.put_text(matrix.datasets.empty() ? "" : matrix.datasets.back());

  RIDGELINE_TRY(AtomicFile file, AtomicFile::create(path, out.bytes().size()));
  RIDGELINE_TRY_STATUS(file.write(0, out.bytes()));
  RIDGELINE_TRY(const MappedFile published, file.publish());
  return {};
}

}  // namespace ridgeline::ptq
