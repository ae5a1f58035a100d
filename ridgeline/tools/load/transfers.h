#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "ridgeline/base/result.h"
#include "ridgeline/tools/load/target.h"

namespace ridgeline::load {

/// Seconds of a clock that never goes back.
double monotonic_s();

/// Takes one answer as it comes.
class TransferReceiver {
 public:
  enum class Failure { kNone, kConnect, kTimeout, kBroken, kRefused };

  virtual ~TransferReceiver() = default;
  virtual void begin(long status, std::string_view content_type) = 0;
  /// False ends the transfer.
  virtual bool body(std::string_view bytes) = 0;
  /// The last of the calls. `message` says what failed.
  virtual void end(Failure failure, const std::string& message) = 0;
};

/// Any number of POSTs at once to one server, on the thread that calls: libcurl's sockets in
/// one epoll, so that a chunk costs the same however many answers are open. Connections stay
/// open for the next request.
class Transfers {
 public:
  static Result<std::unique_ptr<Transfers>> create(const Target& target, double timeout_s);
  ~Transfers();
  Transfers(const Transfers&) = delete;
  Transfers& operator=(const Transfers&) = delete;

  /// `receiver` is destroyed after its end().
  void post(std::string body, std::unique_ptr<TransferReceiver> receiver);
  /// Does what there is to do, or waits until there is, or until `deadline_s` (monotonic_s).
  void wait(double deadline_s);

 private:
  struct Impl;
  explicit Transfers(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ridgeline::load
