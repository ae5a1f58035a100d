#pragma once

#include <functional>
#include <memory>
#include <string>

#include "ridgeline/server/http/http_message.h"

namespace ridgeline {

class ExchangeCore;

/// One request's answer. Any thread may call, none is ever blocked, and nothing happens to
/// a call that comes too late, after the end or after the client went away. An Exchange
/// outlives its connection and the server.
///
/// One that goes without an answer sends a 500; one that goes in the middle of a stream
/// breaks the connection, so that the client does not take the part for the whole.
class Exchange {
 public:
  explicit Exchange(std::shared_ptr<ExchangeCore> core);  // made by the transport
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  /// The whole answer. False: another answer was begun before, or the client is gone.
  bool respond(HttpResponse response);

  /// Status and headers, sent at once; the body follows by write(), in chunks. A stream of
  /// text/event-stream gets Cache-Control: no-cache. False as above.
  bool start_stream(int status, HttpHeaders headers, std::string content_type);
  /// False: the client is gone, the stream is at its end, or the client reads so slowly that
  /// HttpOptions::max_output_bytes were exceeded, in which case the connection is closed.
  bool write(std::string chunk);
  /// Ends the stream. Without it the connection is broken when the last handle goes.
  void finish();

  /// Called once if the client goes away, reads too slowly or the server stops before
  /// respond() or finish(): on an I/O thread, or at once by the caller if it happened already.
  /// Must not block. It is dropped, with what it holds, when the answer is complete.
  void on_close(std::function<void()> callback);
  /// The client is gone, or is given up as too slow.
  bool closed() const;

 private:
  std::shared_ptr<ExchangeCore> core_;
};

/// Runs on an I/O thread and must not block. One that throws has its request answered by a
/// 500.
using HttpHandler = std::function<void(HttpRequest, std::shared_ptr<Exchange>)>;

}  // namespace ridgeline
