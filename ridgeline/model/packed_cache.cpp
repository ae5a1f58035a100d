#include "ridgeline/model/packed_cache.h"

#include <fmt/format.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "ridgeline/platform/atomic_file.h"
#include "ridgeline/platform/crc32c.h"
#include "ridgeline/platform/topology.h"
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

/// Says that the model's files and the packed one, as they are now, were read in whole and belong
/// together.
class Stamp {
 public:
  Stamp(std::string path, std::span<const FileIdentity> model, const FileIdentity& packed)
      : path_(std::move(path)), newest_ctime_ns_(packed.ctime_ns) {
    const std::string boot = read_small_file("/proc/sys/kernel/random/boot_id");
    if (boot.empty() || model.empty()) return;
    text_ = "boot " + boot;
    for (const FileIdentity& file : model) {
      text_ += "model " + text_of(file);
      newest_ctime_ns_ = std::max(newest_ctime_ns_, file.ctime_ns);
    }
    text_ += "packed " + text_of(packed);
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
    return fmt::format("device {} inode {} bytes {} mtime {} ctime {}\n", id.device, id.inode,
                       id.bytes, id.mtime_ns, id.ctime_ns);
  }
  std::string path_, text_;
  std::int64_t newest_ctime_ns_;
};

/// Fills memory with a plan's units by fill(unit, to), in all threads; done(units) follows
/// each batch. A page is made resident by one thread before any needs it.
template <class Fill, class Done>
Result<std::shared_ptr<const Buffer>> fill_memory(const PackPlan& plan, ThreadPool& threads,
                                                  Fill&& fill, Done&& done) {
  constexpr std::size_t kPage = Buffer::kHugePageBytes;
  RIDGELINE_TRY(Buffer allocated, Buffer::allocate(plan.bytes(), "the weights"));
  auto buffer = std::make_shared<Buffer>(std::move(allocated));
  for (std::size_t first = 0, resident = 0; first < plan.units().size();) {
    const std::span<const PackUnit> units = plan.batch(first);
    const std::size_t end = units.back().offset + units.back().bytes;
    const std::size_t pages = (end - std::min(end, resident) + kPage - 1) / kPage;
    threads.parallel_for(static_cast<std::int64_t>(pages), [&](std::int64_t i, int) {
      const std::size_t begin = resident + static_cast<std::size_t>(i) * kPage;
      buffer->populate(begin, std::min(kPage, buffer->size() - begin));
    });
    resident += pages * kPage;
    threads.parallel_for(static_cast<std::int64_t>(units.size()), [&](std::int64_t i, int) {
      const PackUnit& unit = units[static_cast<std::size_t>(i)];
      fill(unit, buffer->data() + unit.offset);
    });
    done(units);
    first += units.size();
  }
  return buffer;
}

/// Decoding from the file's pages is as fast as from anonymous memory where both are huge,
/// and 28 % slower where the file's are small (Q4_0, Zen 4).
bool should_share(const MappedFile& file, PackedCacheOptions::Memory memory) {
  using Memory = PackedCacheOptions::Memory;
  // Less is in the caches, or read in a moment.
  constexpr std::size_t kBytesMin = std::size_t{16} << 20;
  if (memory != Memory::kAuto) return memory == Memory::kShared;
  return file.bytes().size() < kBytesMin ||
         file.bytes().size() > memory_info().available_bytes / 2 || file.huge_page_share() > 0.5;
}

}  // namespace

Result<PackedWeights> PackedWeights::load(const Checkpoint& model, Backend& backend,
                                          const PackedCacheOptions& options,
                                          const std::function<void(double)>& progress) {
  RIDGELINE_TRY(PackPlan plan, PackPlan::make(model, backend));
  PackedWeights weights(std::move(plan));
  RIDGELINE_TRY_STATUS(options.folder.empty()
                           ? weights.pack(model, backend, progress)
                           : weights.use_cache(model, backend, options, progress));
  return weights;
}

std::optional<PackedBytes> PackedWeights::find(const std::string& tensor) const {
  const PackPlan::Place* place = plan_.find(tensor);
  if (place == nullptr) return std::nullopt;
  return PackedBytes{bytes_.subspan(place->offset, place->bytes), owner_, place->input_order};
}

Status PackedWeights::pack(const Checkpoint& model, Backend& backend, const Progress& progress) {
  std::size_t packed = 0;
  RIDGELINE_TRY(const auto buffer, fill_memory(
                                       plan_, backend.host_threads(),
                                       [&](const PackUnit& unit, std::byte* to) {
                                         backend.pack_rows(matrix_type(*unit.tensor), unit.rows,
                                                           unit.tensor->cols(), unit.read().data(),
                                                           to);
                                       },
                                       [&](std::span<const PackUnit> units) {
                                         release(model, units);
                                         packed += units.size();
                                         will_read(model, plan_.batch(packed));
                                         if (progress)
                                           progress(static_cast<double>(packed) /
                                                    static_cast<double>(plan_.units().size()));
                                       }));
  bytes_ = {buffer->data(), buffer->size()};
  owner_ = buffer;
  return {};
}

Status PackedWeights::adopt(PackedFile file, ThreadPool& threads,
                            PackedCacheOptions::Memory memory) {
  report_.bytes = file.file().bytes().size();
  report_.shared = should_share(file.file(), memory);
  const std::span<const std::byte> packed = file.packed(plan_);
  if (report_.shared) {
    bytes_ = packed;
    owner_ = std::make_shared<PackedFile>(std::move(file));
    return {};
  }
  const auto first = static_cast<std::size_t>(packed.data() - file.file().bytes().data());
  RIDGELINE_TRY(const auto buffer,
                fill_memory(
                    plan_, threads,
                    [&](const PackUnit& unit, std::byte* to) {
                      std::memcpy(to, packed.data() + unit.offset, unit.bytes);
                    },
                    [&](std::span<const PackUnit> units) {
                      const std::size_t end = units.back().offset + units.back().bytes;
                      file.file().release(first + units.front().offset, end - units.front().offset);
                    }));
  bytes_ = {buffer->data(), buffer->size()};
  owner_ = buffer;
  return {};
}

Status PackedWeights::use_cache(const Checkpoint& model, Backend& backend,
                                const PackedCacheOptions& options, const Progress& progress) {
  report_.path = (fs::path(options.folder) / file_name(plan_)).string();
  std::error_code error;
  if (fs::exists(report_.path, error)) {
    Result<PackedFile> file = PackedFile::open(report_.path, plan_);
    PackedFile::Fault fault = PackedFile::Fault::kNone;
    if (file) {
      const Stamp stamp(report_.path + ".verified", model.identities(), file->file().identity());
      if (options.verify || !stamp.is_set()) {
        const auto now = std::chrono::system_clock::now();
        fault = file->verify(plan_, model, backend, progress);
        report_.verified = true;
        if (fault == PackedFile::Fault::kNone) stamp.set(now);
      }
      if (fault == PackedFile::Fault::kNone) {
        report_.state = State::kUsed;
        return adopt(*std::move(file), backend.host_threads(), options.memory);
      }
    }
    if (!file || fault == PackedFile::Fault::kDamaged)
      report_.warning = fmt::format(
          "{}; the weights were packed again",
          file ? report_.path + ": does not agree with its checksums" : file.error().message);
  }

  fs::create_directories(options.folder, error);
  AtomicFile::remove_abandoned(options.folder, kPrefix);
  Result<PackedFile> file = PackedFile::write(report_.path, plan_, model, backend, progress);
  if (file) {
    report_.state = State::kWritten;
    return adopt(*std::move(file), backend.host_threads(), options.memory);
  }
  report_.state = State::kUnavailable;
  report_.warning = fmt::format("{}; running without the packed cache", file.error().message);
  return pack(model, backend, progress);
}

}  // namespace ridgeline
