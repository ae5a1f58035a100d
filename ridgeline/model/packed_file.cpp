#include "ridgeline/model/packed_file.h"

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <cstring>

#include "ridgeline/platform/atomic_file.h"
#include "ridgeline/platform/crc32c.h"
#include "ridgeline/tensor/buffer.h"

namespace ridgeline {
namespace {

constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kPackedOffset = 4096;
/// Linux caches what is written in one aligned piece of this size as one huge page,
/// where the file system can: decoding then reads the file as fast as anonymous memory.
constexpr std::size_t kWriteBytes = Buffer::kHugePageBytes;

struct Header {
  std::array<char, 8> magic{'R', 'L', 'P', 'A', 'C', 'K', 'E', 'D'};
  std::uint32_t version = kVersion;
  std::uint32_t trailer_crc = 0;
  std::uint64_t packed_bytes = 0;
  std::uint64_t trailer_bytes = 0;
};
static_assert(sizeof(Header) == 32);

/// Checksums and description.
std::size_t trailer_bytes(const PackPlan& plan) {
  return plan.units().size() * 2 * sizeof(std::uint32_t) + plan.description().size();
}
std::size_t file_bytes(const PackPlan& plan) {
  return kPackedOffset + plan.bytes() + trailer_bytes(plan);
}
Header header_of(const PackPlan& plan, std::span<const std::byte> trailer) {
  Header header;
  header.trailer_crc = crc32c(trailer);
  header.packed_bytes = plan.bytes();
  header.trailer_bytes = trailer.size();
  return header;
}

}  // namespace

std::span<const std::byte> PackedFile::packed(const PackPlan& plan) const {
  return file_.bytes().subspan(kPackedOffset, plan.bytes());
}

Result<PackedFile> PackedFile::open(const std::string& path, const PackPlan& plan) {
  RIDGELINE_TRY(MappedFile file, MappedFile::open(path));
  if (file.bytes().size() != file_bytes(plan))
    return fail(
        fmt::format("{}: has {} bytes, expected {}", path, file.bytes().size(), file_bytes(plan)));
  const auto trailer = file.bytes().last(trailer_bytes(plan));
  const auto checksum_bytes = trailer.size() - plan.description().size();
  const Header header = header_of(plan, trailer);
  if (std::memcmp(file.bytes().data(), &header, sizeof header) != 0 ||
      std::memcmp(trailer.data() + checksum_bytes, plan.description().data(),
                  plan.description().size()) != 0)
    return fail(fmt::format("{}: its header or its table of checksums is damaged", path));
  std::vector<Checksums> checksums(plan.units().size());
  std::memcpy(checksums.data(), trailer.data(), checksum_bytes);
  file.prefer_huge_pages();
  return PackedFile(std::move(file), std::move(checksums));
}

PackedFile::Fault PackedFile::verify(const PackPlan& plan, const Checkpoint& model,
                                     Backend& backend,
                                     const std::function<void(double)>& progress) const {
  const std::span<const std::byte> all = packed(plan);
  std::atomic<bool> is_damaged = false, model_differs = false;
  for (std::size_t first = 0; first < plan.units().size() && !is_damaged && !model_differs;) {
    const std::span<const PackUnit> units = plan.batch(first);
    will_read(model, units);
    backend.host_threads().parallel_for(
        static_cast<std::int64_t>(units.size()), [&](std::int64_t item, int) {
          const auto i = static_cast<std::size_t>(item);
          const Checksums& expected = checksums_[first + i];
          if (crc32c(all.subspan(units[i].offset, units[i].bytes)) != expected.packed)
            is_damaged = true;
          if (crc32c(units[i].read()) != expected.source) model_differs = true;
        });
    release(model, units);
    first += units.size();
    if (progress) progress(static_cast<double>(first) / static_cast<double>(plan.units().size()));
  }
  return model_differs ? Fault::kModelDiffers : is_damaged ? Fault::kDamaged : Fault::kNone;
}

/// Packs one batch while the one before it goes to the file, in pieces of kWriteBytes:
/// what is left over of a batch moves to the front of the next one's buffer.
class PackedFile::Writer {
 public:
  static Result<Writer> create(AtomicFile& file, const PackPlan& plan) {
    std::size_t batch_bytes_max = 0;
    for (std::size_t first = 0; first < plan.units().size();) {
      const auto units = plan.batch(first);
      const std::size_t end = units.back().offset + units.back().bytes;
      batch_bytes_max = std::max(batch_bytes_max, end - units.front().offset);
      first += units.size();
    }
    Writer writer(file);
    for (Buffer& buffer : writer.buffers_) {
      RIDGELINE_TRY(buffer, Buffer::allocate(kPackedOffset + kWriteBytes + batch_bytes_max,
                                             "the packed cache's writer"));
    }
    return writer;
  }

  /// Packs `units` with the threads of `backend`, one of which writes meanwhile.
  Status add(std::span<const PackUnit> units, const Backend& backend, ThreadPool& threads,
             Checksums* checksums) {
    Buffer& next = buffers_[1];
    const std::size_t keep = fill_ % kWriteBytes;
    const std::size_t ready = fill_ - keep;
    std::memcpy(next.data(), buffers_[0].data() + ready, keep);
    Status status;
    threads.parallel_for(static_cast<std::int64_t>(units.size()) + 1, [&](std::int64_t item, int) {
      if (item == 0) {
        status = write_front(ready);
        return;
      }
      const PackUnit& unit = units[static_cast<std::size_t>(item) - 1];
      std::byte* const to = next.data() + keep + (unit.offset - units.front().offset);
      const std::span<const std::byte> rows = unit.read();
      checksums[item - 1].source = crc32c(rows);
      backend.pack_rows(matrix_type(*unit.tensor), unit.rows, unit.tensor->cols(), rows.data(), to);
      checksums[item - 1].packed = crc32c({to, unit.bytes});
    });
    std::swap(buffers_[0], buffers_[1]);
    file_offset_ += ready;
    fill_ = keep + (units.back().offset + units.back().bytes - units.front().offset);
    return status;
  }
  Status finish() {
    RIDGELINE_TRY_STATUS(write_front(fill_));
    return {};
  }

 private:
  explicit Writer(AtomicFile& file) : file_(&file) {}
  Status write_front(std::size_t bytes) {
    return file_->write(file_offset_, {buffers_[0].data(), bytes});
  }

  AtomicFile* file_;
  std::array<Buffer, 2> buffers_;  ///< [0]: to be written, of it `fill_` bytes
  std::size_t file_offset_ = 0;    ///< of buffers_[0]
  std::size_t fill_ = kPackedOffset;
};

Result<PackedFile> PackedFile::write(const std::string& path, const PackPlan& plan,
                                     const Checkpoint& model, Backend& backend,
                                     const std::function<void(double)>& progress) {
  RIDGELINE_TRY(AtomicFile file, AtomicFile::create(path, file_bytes(plan)));
  RIDGELINE_TRY(Writer writer, Writer::create(file, plan));
  std::vector<Checksums> checksums(plan.units().size());
  for (std::size_t first = 0; first < plan.units().size();) {
    const std::span<const PackUnit> units = plan.batch(first);
    will_read(model, units);
    RIDGELINE_TRY_STATUS(
        writer.add(units, backend, backend.host_threads(), checksums.data() + first));
    release(model, units);
    first += units.size();
    if (progress) progress(static_cast<double>(first) / static_cast<double>(plan.units().size()));
  }
  RIDGELINE_TRY_STATUS(writer.finish());

  std::vector<std::byte> trailer(trailer_bytes(plan));
  const std::size_t checksum_bytes = checksums.size() * sizeof(Checksums);
  std::memcpy(trailer.data(), checksums.data(), checksum_bytes);
  std::memcpy(trailer.data() + checksum_bytes, plan.description().data(),
              plan.description().size());
  const Header header = header_of(plan, trailer);
  RIDGELINE_TRY_STATUS(file.write(kPackedOffset + plan.bytes(), trailer));
  RIDGELINE_TRY_STATUS(file.write(0, std::as_bytes(std::span(&header, 1))));
  RIDGELINE_TRY(MappedFile mapped, file.publish());
  mapped.prefer_huge_pages();
  return PackedFile(std::move(mapped), std::move(checksums));
}

}  // namespace ridgeline
