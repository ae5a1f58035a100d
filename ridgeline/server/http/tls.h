#pragma once

#include <memory>
#include <string>

#include "ridgeline/base/result.h"

struct ssl_ctx_st;

namespace ridgeline {

/// A server's certificate and key, TLS 1.2 and later, HTTP/1.1 by ALPN.
class TlsContext {
 public:
  /// Errors name the file.
  static Result<std::shared_ptr<const TlsContext>> load(const std::string& certificate_file,
                                                        const std::string& key_file);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  ssl_ctx_st* get() const { return context_; }

 private:
  explicit TlsContext(ssl_ctx_st* context) : context_(context) {}
  ssl_ctx_st* context_;
};

}  // namespace ridgeline
