#include "ridgeline/server/openai/call.h"

#include <utility>

namespace ridgeline::openai {

void answer(const ServiceParts& parts, const Call& call, HttpResponse response,
            std::string_view error) {
  const int status = response.status;
  call.exchange->respond(std::move(response));
  if (parts.metrics != nullptr) parts.metrics->http_response(call.endpoint, status);
  if (parts.log == nullptr) return;
  RequestRecord record;
  record.id = call.http.id;
  record.key = call.key.name;
  record.client = call.http.peer;
  record.endpoint = call.endpoint;
  record.status = status;
  record.total_seconds = std::chrono::duration<double>(Clock::now() - call.arrived).count();
  record.error = error;
  parts.log->write(record);
}

void answer_error(const ServiceParts& parts, const Call& call, const ApiError& error,
                  HttpHeaders headers, std::string_view reason) {
  if (parts.metrics != nullptr) parts.metrics->refused(reason.empty() ? "invalid" : reason);
  answer(parts, call, error_response(error, std::move(headers)), error.message);
}

}  // namespace ridgeline::openai
