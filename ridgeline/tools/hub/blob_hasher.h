#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace ridgeline::hub {

struct RepoFile;

/// The hash that the hub's list gives for a file, of content that comes in order.
class BlobHasher {
 public:
  explicit BlobHasher(const RepoFile& file);
  ~BlobHasher();
  BlobHasher(BlobHasher&&) noexcept;
  BlobHasher& operator=(BlobHasher&&) noexcept;

  void update(std::span<const std::byte> bytes);
  /// In hexadecimal; once.
  std::string finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace ridgeline::hub
