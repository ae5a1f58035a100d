#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "ridgeline/base/result.h"
#include "ridgeline/model/pack_plan.h"
#include "ridgeline/model/packed_file.h"

namespace ridgeline {

/// A folder of packed weights that later starts map instead of packing them again.
///
/// A file is never believed for its name alone. It is used once its panels and the
/// model's own values have been read in whole and agree with their checksums, and from
/// then on without that as long as neither file has changed, as the system tells by
/// inode, size and ctime, and the machine has not been started anew: editing a model in
/// place, even with its mtime put back, changes its ctime. What that leaves out is a
/// disk that returns other bytes within one run of the machine.
struct PackedCacheOptions {
  std::string folder{};  ///< made if it is not there; "": none
  bool verify = false;   ///< read everything at this start too
  enum class Memory {
    kAuto,    ///< kShared where the system has the file in huge pages, or little memory is free
    kShared,  ///< the file's own pages, which processes share and the system may drop
    kOwn,     ///< a copy in huge pages
  } memory = Memory::kAuto;
};

/// What came of it. A cache that cannot be used never keeps a model from running.
struct PackedCacheReport {
  enum class State {
    kOff,
    kUsed,
    kWritten,      ///< and used: the next start finds it
    kUnavailable,  ///< see warning
  };
  State state = State::kOff;
  std::string path;       ///< of the file; empty if off
  std::size_t bytes = 0;  ///< of the file
  bool shared = false;    ///< the weights are the file's own pages
  bool verified = false;  ///< both files were read in whole at this start
  std::string warning;    ///< a sentence; may be set beside kWritten
};

/// The matrices of a model in a backend's layout, in anonymous memory or in a file.
class PackedWeights {
 public:
  /// Error: a matrix of an unsupported type; no memory.
  static Result<PackedWeights> load(const Checkpoint& model, Backend& backend,
                                    const PackedCacheOptions& options,
                                    const std::function<void(double)>& progress);

  /// Of a tensor with two dimensions or more.
  std::optional<PackedBytes> find(const std::string& tensor) const;
  const PackedCacheReport& report() const { return report_; }

 private:
  explicit PackedWeights(PackPlan plan) : plan_(std::move(plan)) {}

  using Progress = std::function<void(double)>;
  Status pack(const Checkpoint& model, Backend& backend, const Progress& progress);
  Status use_cache(const Checkpoint& model, Backend& backend, const PackedCacheOptions& options,
                   const Progress& progress);
  Status adopt(PackedFile file, ThreadPool& threads, PackedCacheOptions::Memory memory);

  PackPlan plan_;
  std::span<const std::byte> bytes_;
  std::shared_ptr<const void> owner_;
  PackedCacheReport report_;
};

}  // namespace ridgeline
