#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

#include "ridgeline/base/result.h"

namespace ridgeline::hub {

/// Where the hub is, where its files are kept, and how long to be patient.
struct HubSettings {
  std::string endpoint = "https://huggingface.co";
  std::string cache_folder;
  std::string token;       ///< "": none; sent to the endpoint only
  std::string token_path;  ///< where a token may be put, for sentences
  std::string ca_file;     ///< "": the system's certificates
  std::string ca_folder;
  bool offline = false;

  int jobs = 8;  ///< connections at once
  /// In a row without progress: a minute in all.
  int attempts = 8;
  std::chrono::milliseconds backoff{500};         ///< before the second; doubles from there
  std::chrono::milliseconds backoff_max{60'000};  ///< a server that asks for more is given up
  std::chrono::seconds connect_timeout{10};
  std::chrono::seconds stall_timeout{30};   ///< of a connection that brings next to nothing
  std::uint64_t segment_bytes = 32 << 20;   ///< what one request asks for
  const std::atomic<bool>* stop = nullptr;  ///< set by whoever wants it all to end

  bool stopped() const { return stop != nullptr && stop->load(std::memory_order_relaxed); }

  /// As huggingface_hub reads them: HF_ENDPOINT, HF_TOKEN (or the file HF_TOKEN_PATH, which
  /// is $HF_HOME/token), HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE, HF_HUB_DOWNLOAD_TIMEOUT; and
  /// for certificates SSL_CERT_FILE, SSL_CERT_DIR, CURL_CA_BUNDLE, REQUESTS_CA_BUNDLE. Proxies
  /// are libcurl's: https_proxy, all_proxy, no_proxy.
  static Result<HubSettings> from_environment();
};

}  // namespace ridgeline::hub
