#include "ridgeline/platform/file_descriptor.h"

#include <fmt/format.h>
#include <unistd.h>

#include <system_error>

namespace ridgeline {

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) ::close(fd_);
}

tl::unexpected<Error> system_failure(const std::string& path, const char* what, int error) {
  return fail(fmt::format("{}: cannot {}: {}", path, what,
                          std::error_code(error, std::generic_category()).message()));
}

}  // namespace ridgeline
