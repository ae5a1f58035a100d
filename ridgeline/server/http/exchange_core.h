#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "ridgeline/server/http/http_message.h"

namespace ridgeline {

/// Connections whose exchanges have something new, from any thread to the I/O thread. It
/// outlives the I/O thread, which takes no more after close().
class Mailbox {
 public:
  /// `wake` is called by who puts the first one into an empty box.
  explicit Mailbox(std::function<void()> wake) : wake_(std::move(wake)) {}
  void put(std::uint64_t connection);
  std::vector<std::uint64_t> take();
  void close();

 private:
  std::mutex mutex_;
  std::vector<std::uint64_t> waiting_;
  std::function<void()> wake_;
};

/// What the request and the server say about the answer's form.
struct AnswerTerms {
  bool http_1_0 = false;
  bool keep_alive = true;
  bool head = false;  ///< no body, whatever the answer
  std::string request_id = {};
  std::string cors_headers = {};  ///< whole lines
  std::size_t max_output_bytes = std::size_t{1} << 20;
  std::shared_ptr<const std::atomic<bool>> draining = {};  ///< no connection is kept; may be null
};

/// What an Exchange and its connection share: the answer's bytes on their way from the
/// threads that make them to the I/O thread that sends them.
class ExchangeCore {
 public:
  ExchangeCore(AnswerTerms terms, std::shared_ptr<Mailbox> mailbox, std::uint64_t connection);

  // See Exchange.
  bool respond(HttpResponse response);
  bool start_stream(int status, HttpHeaders headers, std::string content_type);
  bool write(const std::string& chunk);
  void finish();
  void on_close(std::function<void()> callback);
  bool closed() const;
  /// No handle is left: an answer that is lacking becomes a 500, a stream is broken.
  void abandon();

  // For the I/O thread.
  enum class Taken {
    kBytes,
    kNothingYet,  ///< the mailbox will tell when there is more
    kEnd,         ///< the answer was taken wholly
  };
  /// Moves what is queued to `bytes`.
  Taken take(std::string& bytes);
  /// So many bytes that were taken are sent, and no longer count as queued.
  void sent(std::size_t bytes);
  /// Nothing will be added to what is queued.
  bool complete() const;
  /// write() gave the reader up.
  bool overflowed() const;
  /// Of a complete answer: the connection can take the next request.
  bool reusable() const;
  /// Runs the callbacks unless the answer is complete; true if it was not.
  bool client_gone();

 private:
  enum class State { kWaiting, kStreaming, kComplete, kBroken, kGone };

  bool is_complete() const { return state_ == State::kComplete || state_ == State::kBroken; }
  void append_head(int status, const HttpHeaders& headers, std::string_view content_type,
                   const std::string* body);
  void end(State state, std::vector<std::function<void()>>& dropped);
  void notify(bool always = false);

  const AnswerTerms terms_;
  const std::shared_ptr<Mailbox> mailbox_;
  const std::uint64_t connection_;

  mutable std::mutex mutex_;
  State state_ = State::kWaiting;
  bool chunked_ = false;
  bool bodiless_ = false;
  bool keep_alive_ = false;
  bool overflowed_ = false;
  /// The I/O thread will look without being told; at first it does after the handler.
  bool notified_ = true;
  std::string queued_;
  std::size_t taken_bytes_ = 0;
  std::vector<std::function<void()>> callbacks_;
};

}  // namespace ridgeline
