#include "ridgeline/tools/hub/blob_hasher.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>

#include "ridgeline/base/check.h"
#include "ridgeline/tools/hub/repo_listing.h"

namespace ridgeline::hub {

struct BlobHasher::Context {
  EVP_MD_CTX* md = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(md); }
};

BlobHasher::BlobHasher(const RepoFile& file) : context_(std::make_unique<Context>()) {
  const bool lfs = !file.lfs_sha256.empty();
  RIDGELINE_CHECK(EVP_DigestInit_ex(context_->md, lfs ? EVP_sha256() : EVP_sha1(), nullptr) == 1);
  if (lfs) return;
  // Git hashes the kind and the size, too, with a zero behind them.
  const std::string head = fmt::format("blob {}", file.size);
  EVP_DigestUpdate(context_->md, head.c_str(), head.size() + 1);
}

BlobHasher::~BlobHasher() = default;
BlobHasher::BlobHasher(BlobHasher&&) noexcept = default;
BlobHasher& BlobHasher::operator=(BlobHasher&&) noexcept = default;

void BlobHasher::update(std::span<const std::byte> bytes) {
  EVP_DigestUpdate(context_->md, bytes.data(), bytes.size());
}

std::string BlobHasher::finish() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  EVP_DigestFinal_ex(context_->md, digest.data(), &length);
  std::string text;
  for (unsigned i = 0; i < length; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

}  // namespace ridgeline::hub
