#pragma once

#include <string>
#include <string_view>

#include "ridgeline/tools/load/request_record.h"
#include "ridgeline/tools/load/sse_parser.h"
#include "ridgeline/tools/load/target.h"

namespace ridgeline::load {

/// Reads one streamed answer into a RequestRecord.
class CompletionStream {
 public:
  /// `record` outlives the stream.
  CompletionStream(Endpoint endpoint, RequestRecord& record);

  /// The answer's status line and type.
  void begin(long status, std::string_view content_type);
  /// Some of its body, which came at `now_s`. False: it has failed, and the rest is of no
  /// interest.
  bool push(std::string_view bytes, double now_s);
  /// The answer is over, as HTTP sees it. Fails the record if that was before its end.
  void end();

 private:
  void take_event(std::string_view kind, std::string_view data);
  void fail(std::string kind, std::string message);

  Endpoint endpoint_;
  RequestRecord& record_;
  SseParser parser_;
  double now_s_ = 0;
  bool is_stream_ = false;
  bool done_ = false;  ///< [DONE] came
  std::string error_body_;
  long status_ = 0;
};

}  // namespace ridgeline::load
