#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "ridgeline/server/openai/answer.h"
#include "ridgeline/server/openai/call.h"

namespace ridgeline::openai {

/// A call that the engine works on: its requests, and the answer that their updates become.
/// Lives until the engine has said its last word on all of them, or refused them.
class Job : public std::enable_shared_from_this<Job> {
 public:
  Job(const ServiceParts& parts, Call call, std::unique_ptr<Answer> answer, bool stream,
      Admission admission);

  /// Submits the requests; their order is the answer's. A refusal is answered. Of very many, as
  /// a batch of embeddings may have, some at a time, so that they do not fill the queue.
  void start(std::vector<Request> requests);

 private:
  /// The next ones, as long as there are any and few of them are open.
  void submit_more();
  void on_update(RequestUpdate&& update);
  void take(RequestUpdate&& update);
  void take_events(std::size_t index, std::vector<TokenEvent>& events, std::string& out);
  void add_summary(const RequestSummary& summary);
  bool send(std::string out);
  void fail(const ApiError& error, HttpHeaders headers = {});
  void refuse(const Refusal& refusal);
  bool ended() const { return open_requests_ == 0 && next_ == requests_.size() && !submitting_; }
  void cancel();
  void close_books();

  const ServiceParts parts_;
  Call call_;
  const bool stream_;

  std::mutex mutex_;  // guards what follows
  std::unique_ptr<Answer> answer_;
  Admission admission_;
  std::vector<Request> requests_;  ///< from next_ on not submitted yet
  std::size_t next_ = 0;
  std::vector<RequestId> ids_;
  bool submitting_ = false;           ///< the ids of the latest ones are not known yet
  std::vector<RequestUpdate> early_;  ///< that came meanwhile
  std::vector<ServerMetrics::Request> observed_;
  std::size_t open_requests_ = 0;
  bool answered_ = false;   ///< nothing more is sent
  bool closed_ = false;     ///< counted and logged
  bool streaming_ = false;  ///< its head is sent
  int status_ = 200;
  std::string error_;
  RequestSummary total_;
};

/// What a client is told of a request that was not taken, and what the metrics call it.
struct RefusalAnswer {
  ApiError error;
  HttpHeaders headers;
  std::string_view reason;
};
RefusalAnswer answer_of(const Refusal& refusal);

}  // namespace ridgeline::openai
