#include "ridgeline/tools/load/server_client.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "ridgeline/tools/load/curl_setup.h"

namespace ridgeline::load {
namespace {

using Json = nlohmann::json;

constexpr long kAnswerSecondsMax = 30;
constexpr std::size_t kAnswerBytesMax = 64 << 20;
constexpr std::chrono::milliseconds kPause{100};

std::size_t take_body(char* data, std::size_t, std::size_t n, void* user) {
  auto& body = *static_cast<std::string*>(user);
  if (body.size() + n > kAnswerBytesMax) return 0;  // ends the transfer
  body.append(data, n);
  return n;
}

}  // namespace

struct ServerClient::Handle {
  CURL* curl;
  char error[CURL_ERROR_SIZE] = "";
  ~Handle() { curl_easy_cleanup(curl); }
};

Result<std::unique_ptr<ServerClient>> ServerClient::create(const Target& target) {
  CURL* curl = new_curl();
  if (curl == nullptr) return fail("libcurl could not be started");
  return std::unique_ptr<ServerClient>(new ServerClient(target, std::make_unique<Handle>(curl)));
}

ServerClient::ServerClient(const Target& target, std::unique_ptr<Handle> handle)
    : target_(target), handle_(std::move(handle)) {}
ServerClient::~ServerClient() = default;

Result<ServerClient::Answer> ServerClient::ask(const std::string& path, const std::string* body) {
  CURL* curl = handle_->curl;
  const CurlHeaders headers = headers_for(target_);
  Answer answer;
  curl_easy_reset(curl);  // but for the connection
  set_common_options(curl, target_, headers, handle_->error);
  curl_easy_setopt(curl, CURLOPT_URL, (target_.url + path).c_str());
  curl_easy_setopt(curl, CURLOPT_TIMEOUT, kAnswerSecondsMax);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer.body);
  if (body != nullptr) {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body->size()));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body->c_str());
  }
  const CURLcode code = curl_easy_perform(curl);
  if (code != CURLE_OK)
    return fail(fmt::format("{}{}: {}", target_.url, path,
                            handle_->error[0] != '\0' ? handle_->error : curl_easy_strerror(code)));
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer.status);
  return answer;
}

Status ServerClient::wait_until_ready(std::chrono::duration<double> patience) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (true) {
    // Not every server has /health; one that loads its model says so there or with 503.
    const Result<Answer> answer = ask("/health", nullptr);
    if (answer && (answer->status == 200 || answer->status == 401 || answer->status == 404))
      return {};
    if (std::chrono::steady_clock::now() >= end)
      return answer ? fail(fmt::format("{}/health: status {}, expected 200", target_.url,
                                       answer->status))
                    : Status(tl::make_unexpected(answer.error()));
    std::this_thread::sleep_for(kPause);
  }
}

Result<std::string> ServerClient::first_model() {
  RIDGELINE_TRY(const Answer answer, ask("/v1/models", nullptr));
  const Json j = Json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
  const Json* name = nullptr;
  if (answer.status == 200 && j.is_object() && j.contains("data") && j["data"].is_array() &&
      !j["data"].empty() && j["data"][0].is_object() && j["data"][0].contains("id"))
    name = &j["data"][0]["id"];
  if (name == nullptr || !name->is_string())
    return fail(fmt::format("{}/v1/models: status {} and no model's name in it; --model gives one",
                            target_.url, answer.status));
  return name->get<std::string>();
}

Result<std::int64_t> ServerClient::count_tokens(const std::string& text) {
  const std::string body = Json{
      {"model", target_.model},
      {"prompt", text},
      {"content", text},
      {"add_special_tokens", false},
      {"add_special", false}}.dump(-1, ' ', false, Json::error_handler_t::replace);
  RIDGELINE_TRY(const Answer answer, ask("/tokenize", &body));
  const Json j = Json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
  if (answer.status == 200 && j.is_object()) {
    if (const auto count = j.find("count"); count != j.end() && count->is_number_unsigned())
      return count->get<std::int64_t>();
    if (const auto tokens = j.find("tokens"); tokens != j.end() && tokens->is_array())
      return static_cast<std::int64_t>(tokens->size());
  }
  return fail(fmt::format("{}/tokenize: status {}, expected 200 with count or tokens", target_.url,
                          answer.status));
}

}  // namespace ridgeline::load
