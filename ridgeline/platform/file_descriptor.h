#pragma once

#include <string>

#include "ridgeline/base/result.h"

namespace ridgeline {

/// Closed when it goes.
class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor();
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  FileDescriptor& operator=(FileDescriptor&&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

/// "PATH: cannot WHAT: the system's words for errno `error`".
tl::unexpected<Error> system_failure(const std::string& path, const char* what, int error);

}  // namespace ridgeline
