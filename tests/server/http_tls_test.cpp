#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "tests/server/http_test_server.h"

namespace ridgeline {
namespace {

using test::eventually;
using test::Held;
using test::TestServer;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

template <class T, void (*free)(T*)>
struct Free {
  void operator()(T* value) const { free(value); }
};
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY, EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Free<X509, X509_free>>;

void hello(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
  exchange->respond({.body = "hello" + request.body});
}

/// A key and a certificate signed by itself, made anew.
class HttpTls : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(::testing::TempDir()) / ("tls-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
    key_ = write_pair("one");
    write_pair("two");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  Key write_pair(const std::string& name) {
    Key key(EVP_EC_gen("P-256"));
    Certificate certificate(X509_new());
    X509_set_version(certificate.get(), 2);
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
    X509_set_pubkey(certificate.get(), key.get());
    X509_sign(certificate.get(), key.get(), EVP_sha256());
    std::FILE* file = std::fopen(path(name + ".crt").c_str(), "w");
    PEM_write_X509(file, certificate.get());
    std::fclose(file);
    file = std::fopen(path(name + ".key").c_str(), "w");
    PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    std::fclose(file);
    return key;
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  HttpOptions options(const std::string& certificate = "one.crt",
                      const std::string& key = "one.key") const {
    HttpOptions options;
    options.port = 0;
    options.tls_certificate_file = path(certificate);
    options.tls_key_file = path(key);
    return options;
  }

  std::filesystem::path folder_;
  Key key_;
};

class TlsClient {
 public:
  explicit TlsClient(test::RawClient socket, int max_version = TLS1_3_VERSION)
      : socket_(std::move(socket)), context_(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_set_min_proto_version(context_, 0);
    SSL_CTX_set_max_proto_version(context_, max_version);
    SSL_CTX_set_security_level(context_, 0);
    tls_ = SSL_new(context_);
    SSL_set_fd(tls_, socket_.fd());
    connected_ = SSL_connect(tls_) == 1;
  }
  ~TlsClient() {
    SSL_free(tls_);
    SSL_CTX_free(context_);
  }
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  bool connected() const { return connected_; }
  std::string version() const { return SSL_get_version(tls_); }
  bool send(std::string_view bytes) {
    std::size_t sent = 0;
    return SSL_write_ex(tls_, bytes.data(), bytes.size(), &sent) == 1 && sent == bytes.size();
  }
  std::string receive_until(std::string_view text) {
    std::string received;
    char buffer[4096];
    std::size_t bytes = 0;
    while (received.find(text) == std::string::npos &&
           SSL_read_ex(tls_, buffer, sizeof(buffer), &bytes) == 1) {
      received.append(buffer, bytes);
    }
    return received;
  }
  void leave() {
    SSL_shutdown(tls_);
    socket_.close();
  }

 private:
  test::RawClient socket_;
  SSL_CTX* context_;
  SSL* tls_ = nullptr;
  bool connected_ = false;
};

TEST_F(HttpTls, AnswersStreamsAndNoticesWhoLeaves) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    Held held;
    TestServer server(held.handler(), options());
    EXPECT_THAT(server->url(), StartsWith("https://127.0.0.1:"));
    TlsClient client(server.client(), version);
    ASSERT_TRUE(client.connected());
    EXPECT_EQ(client.version(), version == TLS1_2_VERSION ? "TLSv1.2" : "TLSv1.3");
    client.send(kGet);
    held.next().second->respond({.body = "hello"});
    EXPECT_THAT(client.receive_until("hello"), StartsWith("HTTP/1.1 200 OK\r\n"));
    client.send(kGet);
    auto exchange = held.next().second;
    std::atomic<bool> closed = false;
    exchange->on_close([&] { closed = true; });
    exchange->start_stream(200, {}, "text/event-stream");
    exchange->write("data: 1\n\n");
    EXPECT_THAT(client.receive_until("data: 1\n\n"), HasSubstr("data: 1\n\n"));
    client.leave();
    EXPECT_TRUE(eventually([&] { return closed.load(); }));
    EXPECT_TRUE(eventually([&] { return server->connections() == 0; }));
  }
}

TEST_F(HttpTls, LargeBodiesBothWays) {
  TestServer server(hello, options());
  TlsClient client(server.client());
  ASSERT_TRUE(client.connected());
  const std::string body(3'000'000, 'x');
  client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\nConnection: close\r\n\r\n");
  client.send(body);
  const std::string answer = client.receive_until("never");
  EXPECT_THAT(answer.substr(0, 1000), HasSubstr("\r\nContent-Length: 3000005\r\n"));
  EXPECT_TRUE(answer.ends_with("hello" + body));
}

TEST_F(HttpTls, OldVersionsAndOtherProtocolsAreRefused) {
  TestServer server(hello, options());
  EXPECT_FALSE(TlsClient(server.client(), TLS1_1_VERSION).connected());
  test::RawClient plain = server.client();
  plain.send(kGet);
  EXPECT_TRUE(plain.at_end());
  EXPECT_THAT(plain.received(), HasSubstr("This port speaks HTTPS."));
  test::RawClient garbage = server.client();
  garbage.send(std::string(100, '\xff'));
  EXPECT_TRUE(garbage.at_end());
  EXPECT_EQ(server->stats().requests, 0u);
  TlsClient client(server.client());
  EXPECT_TRUE(client.connected());
}

TEST_F(HttpTls, ASilentClientsHandshakeTimesOut) {
  HttpOptions impatient = options();
  impatient.header_timeout = std::chrono::milliseconds(50);
  TestServer server(hello, impatient);
  test::RawClient silent = server.client();
  EXPECT_TRUE(silent.at_end());
}

TEST_F(HttpTls, ErrorsNameTheFile) {
  const auto message = [](const HttpOptions& wrong) {
    const auto server = HttpServer::listen(wrong, hello);
    return server ? std::string("none") : server.error().message;
  };
  EXPECT_THAT(message(options("absent.crt")),
              StartsWith(path("absent.crt") + ": cannot read the certificate: No such file"));
  EXPECT_THAT(message(options("one.crt", "absent.key")),
              StartsWith(path("absent.key") + ": cannot read the private key: No such file"));
  EXPECT_THAT(message(options("one.crt", "two.key")), StartsWith(path("two.key") + ": cannot "));
  std::ofstream(path("empty.crt")) << "nothing\n";
  EXPECT_THAT(message(options("empty.crt")),
              StartsWith(path("empty.crt") + ": cannot read the certificate: "));
  HttpOptions half = options();
  half.tls_key_file.clear();
  EXPECT_EQ(message(half), "TLS needs both a certificate file and a key file");
}

}  // namespace
}  // namespace ridgeline
