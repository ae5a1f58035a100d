#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "ridgeline/engine/request.h"
#include "ridgeline/server/http/error_response.h"

namespace ridgeline::openai {

/// Writes what a call of the API is answered, while its requests are worked on. One thread at a
/// time.
class Answer {
 public:
  virtual ~Answer() = default;

  /// An event of the call's request number `index`. Appends what can be sent at once to `out`,
  /// if the answer is a stream.
  virtual void on_event(std::size_t index, TokenEvent&& event, std::string& out) = 0;
  /// Every request has ended well: the rest of the stream, or all of the body.
  virtual void finish(std::string& out) = 0;
  /// The stream ends early: what tells the client.
  virtual void fail(const ApiError& error, std::string& out);
  /// Nothing of what is still to come from any request matters.
  virtual bool complete() const { return false; }
  /// Of a choice that has ended, for the log: "stop", "length", ...
  virtual std::string finish_reason() const { return ""; }
};

}  // namespace ridgeline::openai
