#include "ridgeline/server/http/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cstring>

namespace ridgeline {
namespace {

/// "FILE: cannot WHAT: OpenSSL's reason".
tl::unexpected<Error> failure(const std::string& file, const std::string& what) {
  // The first error is the deepest, which names the cause.
  const unsigned long code = ERR_peek_error();
  const char* reason = ERR_reason_error_string(code);
  std::string text = file + ": cannot " + what;
  if (ERR_SYSTEM_ERROR(code)) {
    text += std::string(": ") + std::strerror(ERR_GET_REASON(code));
  } else if (reason != nullptr) {
    text += std::string(": ") + reason;
  }
  ERR_clear_error();
  return fail(text);
}

int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* chosen_size,
                    const unsigned char* offered, unsigned offered_size, void*) {
  static constexpr unsigned char kHttp11[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  unsigned char* match = nullptr;
  if (SSL_select_next_proto(&match, chosen_size, kHttp11, sizeof(kHttp11), offered, offered_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  *chosen = match;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

Result<std::shared_ptr<const TlsContext>> TlsContext::load(const std::string& certificate_file,
                                                           const std::string& key_file) {
  ERR_clear_error();
  SSL_CTX* raw = SSL_CTX_new(TLS_server_method());
  if (raw == nullptr) return failure(certificate_file, "set up TLS for this certificate");
  const std::shared_ptr<const TlsContext> context(new TlsContext(raw));
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  // Clients commonly close without close_notify; Content-Length and chunks show where a
  // message ends.
  SSL_CTX_set_options(raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF |
                               SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(raw, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_alpn_select_cb(raw, choose_protocol, nullptr);
  if (SSL_CTX_use_certificate_chain_file(raw, certificate_file.c_str()) != 1) {
    return failure(certificate_file, "read the certificate");
  }
  if (SSL_CTX_use_PrivateKey_file(raw, key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    return failure(key_file, "read the private key");
  }
  if (SSL_CTX_check_private_key(raw) != 1) {
    return failure(key_file, "use this key with the certificate " + certificate_file);
  }
  return context;
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

}  // namespace ridgeline
