#include "ridgeline/server/limits/api_keys.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <utility>

#include "ridgeline/platform/file_descriptor.h"
#include "ridgeline/server/limits/key_file.h"

namespace ridgeline {
namespace {

constexpr std::size_t kFileBytesMax = std::size_t{8} << 20;

struct KeySet {
  std::vector<HashedKey> keys;
  std::string warning;
};

Result<std::shared_ptr<const KeySet>> read_keys(const std::string& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return system_failure(path, "open the API keys", errno);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) {
    return system_failure(path, "stat the API keys", errno);
  }

  std::string text;
  for (;;) {
    char chunk[16384];
    const ssize_t count = ::read(file.get(), chunk, sizeof chunk);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_failure(path, "read the API keys", errno);
    if (count == 0) break;
    text.append(chunk, static_cast<std::size_t>(count));
    if (text.size() > kFileBytesMax) {
      return fail(
          fmt::format("{}: more than {} bytes, expected a file of API keys", path, kFileBytesMax));
    }
  }
  auto set = std::make_shared<KeySet>();
  RIDGELINE_TRY(set->keys, parse_key_file(text, path));
  ::OPENSSL_cleanse(text.data(), text.size());
  if (S_ISREG(status.st_mode) && (status.st_mode & (S_IROTH | S_IWOTH)) != 0) {
    set->warning = fmt::format("{}: everyone on this machine may {} the API keys; chmod o-rw it",
                               path, (status.st_mode & S_IWOTH) != 0 ? "change" : "read");
  }
  return set;
}

}  // namespace

struct ApiKeys::Impl {
  std::string path;  ///< empty: no file
  ApiKey anonymous;
  mutable std::mutex mutex;  ///< guards the pointer, not what it points to
  std::shared_ptr<const KeySet> current;

  std::shared_ptr<const KeySet> get() const {
    const std::lock_guard lock(mutex);
    return current;
  }
};

ApiKeys::ApiKeys(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ApiKeys::ApiKeys(ApiKeys&&) noexcept = default;
ApiKeys& ApiKeys::operator=(ApiKeys&&) noexcept = default;
ApiKeys::~ApiKeys() = default;

Result<ApiKeys> ApiKeys::load(std::string path) {
  auto impl = std::make_unique<Impl>();
  impl->path = std::move(path);
  RIDGELINE_TRY(impl->current, read_keys(impl->path));
  return ApiKeys(std::move(impl));
}

ApiKeys ApiKeys::anonymous(KeyLimits limits) {
  auto impl = std::make_unique<Impl>();
  impl->anonymous.limits = limits;
  impl->current = std::make_shared<KeySet>();
  return ApiKeys(std::move(impl));
}

Status ApiKeys::reload() {
  if (!required()) return {};
  RIDGELINE_TRY(auto keys, read_keys(impl_->path));
  const std::lock_guard lock(impl_->mutex);
  impl_->current = std::move(keys);
  return {};
}

std::optional<ApiKey> ApiKeys::check(std::string_view bearer) const {
  if (!required()) return impl_->anonymous;
  const Sha256 hash = sha256(bearer);
  const auto set = impl_->get();
  const HashedKey* found = nullptr;
  for (const HashedKey& entry : set->keys) {
    const bool equal = ::CRYPTO_memcmp(entry.hash.data(), hash.data(), hash.size()) == 0;
    found = equal ? &entry : found;
  }
  if (found == nullptr) return std::nullopt;
  return found->key;
}

bool ApiKeys::required() const { return !impl_->path.empty(); }
std::size_t ApiKeys::size() const { return impl_->get()->keys.size(); }
std::string ApiKeys::warning() const { return impl_->get()->warning; }

}  // namespace ridgeline
