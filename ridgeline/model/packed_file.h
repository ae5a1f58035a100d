#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/model/pack_plan.h"
#include "ridgeline/platform/mapped_file.h"

// A model's packed weights on disk:
//
//   0              4096
//   ┌──────┬───────┬─────────────────────────────┬─────────────────────┬─────────────┐
//   │header│ zeros │ packed matrices, end to end │ checksums, per unit │ description │
//   └──────┴───────┴─────────────────────────────┴─────────────────────┴─────────────┘
//
// A plan decides where everything lies. The file says nothing that has to be believed:
// header and description must be, byte for byte, those that the plan gives.

namespace ridgeline {

class PackedFile {
 public:
  /// Why a file cannot be used as it is.
  enum class Fault {
    kNone,
    kModelDiffers,  ///< packed from other values than the model file has now
    kDamaged,
  };

  /// Opens a file for a plan; reads header, checksums and description, no weights.
  /// Errors: it cannot be read; it is not the file of this plan, truncated, or damaged.
  static Result<PackedFile> open(const std::string& path, const PackPlan& plan);
  /// Packs the model into a new file at `path`: two batches of it are in memory at a time.
  static Result<PackedFile> write(const std::string& path, const PackPlan& plan,
                                  const Checkpoint& model, Backend& backend,
                                  const std::function<void(double)>& progress);

  /// Reads all of the file and of the model and compares their checksums.
  Fault verify(const PackPlan& plan, const Checkpoint& model, Backend& backend,
               const std::function<void(double)>& progress) const;

  const MappedFile& file() const { return file_; }
  /// What the plan's offsets count in.
  std::span<const std::byte> packed(const PackPlan& plan) const;

 private:
  struct Checksums {
    std::uint32_t source, packed;
  };
  class Writer;
  PackedFile(MappedFile file, std::vector<Checksums> checksums)
      : file_(std::move(file)), checksums_(std::move(checksums)) {}

  MappedFile file_;
  std::vector<Checksums> checksums_;  ///< by unit
};

}  // namespace ridgeline
