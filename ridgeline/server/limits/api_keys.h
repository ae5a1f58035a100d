#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/base/result.h"

namespace ridgeline {

/// 0: no limit.
struct KeyLimits {
  std::int64_t requests_per_minute = 0;
  std::int64_t tokens_per_minute = 0;  ///< of prompts and outputs
  std::int64_t concurrent_requests = 0;
};

/// Who asks. The key itself is nowhere in it.
struct ApiKey {
  std::string name = "anonymous";  ///< for logs and metrics: letters, digits, '_', '-', '.'
  std::uint64_t tenant = 0;        ///< for Request::tenant; a function of the name
  KeyLimits limits;
  /// A request's priority is this or its own, the larger number (the less important) of the
  /// two: a key cannot get ahead by asking.
  int priority = 0;
  /// Its prefix cache is its own: Request::cache_salt is to be the name.
  bool private_cache = false;
};

/// The keys that may come in, read from a file:
///
///     # name   key, or its SHA-256          limits
///     alice    sk-4f0c2a91d5e84b7f          rpm=60 tpm=100000 concurrent=4
///     batch    sha256:9f86d081884c7d65...   priority=10 cache=private
///
/// Every function may be called from any thread.
class ApiKeys {
 public:
  static Result<ApiKeys> load(std::string path);
  /// Without a file: everyone comes in, as one tenant named "anonymous".
  static ApiKeys anonymous(KeyLimits limits);

  ApiKeys(ApiKeys&&) noexcept;
  ApiKeys& operator=(ApiKeys&&) noexcept;
  ~ApiKeys();

  /// Reads the file again. If anything is wrong with it, the keys stay as they were and the
  /// sentence is returned.
  Status reload();

  /// Whose key that is. What it takes does not depend on how much of it is right, nor on whose
  /// it is: hashes are compared, in constant time, with those of all keys. Without a file
  /// `bearer` may be anything.
  std::optional<ApiKey> check(std::string_view bearer) const;

  bool required() const;  ///< false: without a file
  std::size_t size() const;
  /// What is unwise about the file, e.g. that everyone may read it; empty: nothing.
  std::string warning() const;

 private:
  struct Impl;
  explicit ApiKeys(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ridgeline
