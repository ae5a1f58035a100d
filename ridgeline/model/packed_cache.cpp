#include "ridgeline/model/packed_cache.h"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "ridgeline/model/packed_file.h"
#include "ridgeline/platform/atomic_file.h"
#include "ridgeline/platform/crc32c.h"
#include "ridgeline/tensor/buffer.h"

namespace ridgeline {
namespace {

namespace fs = std::filesystem;
using State = PackedCacheReport::State;

constexpr const char* kPrefix = "ridgeline-";

/// Tells models of the same shape apart by some of their values, so that each finds its
/// own file. Whether it is really its own is not decided here.
std::uint32_t sample_of(const PackPlan& plan) {
  constexpr std::size_t kSamples = 16, kSampleBytes = 256;
  std::vector<std::byte> samples;
  const std::span<const PackUnit> units = plan.units();
  for (std::size_t i = 0; i < std::min(kSamples, units.size()); ++i) {
    const auto source = units[i * units.size() / std::min(kSamples, units.size())].source;
    const auto part = source.first(std::min(kSampleBytes, source.size()));
    samples.insert(samples.end(), part.begin(), part.end());
  }
  return crc32c(samples);
}

std::string file_name(const PackPlan& plan) {
  return fmt::format("{}{:08x}{:08x}.packed", kPrefix,
                     crc32c(std::as_bytes(std::span(plan.description()))), sample_of(plan));
}

std::string read_small_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Says that two files, as they are now, were read in whole and belong together.
class Stamp {
 public:
  Stamp(std::string path, const FileIdentity& model, const FileIdentity& packed)
      : path_(std::move(path)), newest_ctime_ns_(std::max(model.ctime_ns, packed.ctime_ns)) {
    const std::string boot = read_small_file("/proc/sys/kernel/random/boot_id");
    if (boot.empty() || model.bytes == 0) return;
    text_ = fmt::format("boot {}model {}\npacked {}\n", boot, text_of(model), text_of(packed));
  }

  bool is_set() const { return !text_.empty() && read_small_file(path_) == text_; }
  /// Where it cannot be written, the next start reads everything again.
  void set(std::chrono::system_clock::time_point verified_from) const {
    // A change shortly after the last one may have got the same time from a coarse
    // clock: FAT's has two seconds.
    constexpr std::chrono::seconds kClockStepMax{2};
    const auto settled = std::chrono::duration_cast<std::chrono::nanoseconds>(
        (verified_from - kClockStepMax).time_since_epoch());
    if (!text_.empty() && newest_ctime_ns_ < settled.count())
      std::ofstream(path_, std::ios::binary) << text_;
  }

 private:
  static std::string text_of(const FileIdentity& id) {
    return fmt::format("device {} inode {} bytes {} mtime {} ctime {}", id.device, id.inode,
                       id.bytes, id.mtime_ns, id.ctime_ns);
  }
  std::string path_, text_;
  std::int64_t newest_ctime_ns_;
};

}  // namespace

Result<PackedWeights> PackedWeights::load(const GgufFile& model, Backend& backend,
                                          const PackedCacheOptions& options,
                                          const std::function<void(double)>& progress) {
  RIDGELINE_TRY(PackPlan plan, PackPlan::make(model, backend));
  PackedWeights weights(std::move(plan));
  if (!options.folder.empty()) weights.use_cache(model, backend, options, progress);
  if (!weights.owner_) RIDGELINE_TRY_STATUS(weights.pack(model, backend, progress));
  return weights;
}

std::optional<PackedBytes> PackedWeights::find(const std::string& tensor) const {
  const PackPlan::Place* place = plan_.find(tensor);
  if (place == nullptr) return std::nullopt;
  return PackedBytes{bytes_.subspan(place->offset, place->bytes), owner_};
}

Status PackedWeights::pack(const GgufFile& model, Backend& backend,
                           const std::function<void(double)>& progress) {
  RIDGELINE_TRY(Buffer allocated, Buffer::allocate(plan_.bytes(), "the weights"));
  const auto buffer = std::make_shared<Buffer>(std::move(allocated));
  ThreadPool& threads = backend.host_threads();
  constexpr std::size_t kPage = Buffer::kHugePageBytes;
  for (std::size_t first = 0, resident = 0; first < plan_.units().size();) {
    const std::span<const PackUnit> units = plan_.batch(first);
    will_read(model, units);
    const std::size_t end = units.back().offset + units.back().bytes;
    const std::size_t pages = (end - std::min(end, resident) + kPage - 1) / kPage;
    threads.parallel_for(static_cast<std::int64_t>(pages), [&](std::int64_t i, int) {
      const std::size_t begin = resident + static_cast<std::size_t>(i) * kPage;
      buffer->populate(begin, std::min(kPage, buffer->size() - begin));
    });
    resident += pages * kPage;
    threads.parallel_for(static_cast<std::int64_t>(units.size()), [&](std::int64_t i, int) {
      const PackUnit& unit = units[static_cast<std::size_t>(i)];
      backend.pack_rows(unit.tensor->dtype, unit.rows, unit.tensor->cols(), unit.source.data(),
                        buffer->data() + unit.offset);
    });
    release(model, units);
    first += units.size();
    if (progress) progress(static_cast<double>(first) / static_cast<double>(plan_.units().size()));
  }
  bytes_ = {buffer->data(), buffer->size()};
  owner_ = buffer;
  return {};
}

void PackedWeights::use_cache(const GgufFile& model, Backend& backend,
                              const PackedCacheOptions& options,
                              const std::function<void(double)>& progress) {
  report_.path = (fs::path(options.folder) / file_name(plan_)).string();
  const auto adopt = [&](PackedFile file, State state) {
    const auto kept = std::make_shared<PackedFile>(std::move(file));
    bytes_ = kept->packed(plan_);
    owner_ = kept;
    report_.state = state;
    report_.bytes = kept->file().bytes().size();
  };

  std::error_code error;
  if (fs::exists(report_.path, error)) {
    Result<PackedFile> file = PackedFile::open(report_.path, plan_);
    PackedFile::Fault fault = PackedFile::Fault::kNone;
    if (file) {
      const Stamp stamp(report_.path + ".verified", model.identity(), file->file().identity());
      if (options.verify || !stamp.is_set()) {
        const auto now = std::chrono::system_clock::now();
        fault = file->verify(plan_, model, backend, progress);
        report_.verified = true;
        if (fault == PackedFile::Fault::kNone) stamp.set(now);
      }
      if (fault == PackedFile::Fault::kNone) return adopt(std::move(*file), State::kUsed);
    }
    if (!file || fault == PackedFile::Fault::kDamaged)
      report_.warning = fmt::format(
          "{}; the weights were packed again",
          file ? report_.path + ": does not agree with its checksums" : file.error().message);
  }

  fs::create_directories(options.folder, error);
  AtomicFile::remove_abandoned(options.folder, kPrefix);
  Result<PackedFile> file = PackedFile::write(report_.path, plan_, model, backend, progress);
  if (file) return adopt(std::move(*file), State::kWritten);
  report_.state = State::kUnavailable;
  report_.warning = fmt::format("{}; running without the packed cache", file.error().message);
}

}  // namespace ridgeline
