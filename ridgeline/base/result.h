#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace ridgeline {

/// What went wrong, as one sentence for a person: which file or field, which
/// value, what was expected.
struct Error {
  std::string message;
};

/// A value, or the sentence that says why there is none. Files and requests
/// return this; nothing in the library throws across a folder's boundary.
template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

inline tl::unexpected<Error> fail(std::string message) {
  return tl::unexpected<Error>(Error{std::move(message)});
}

}  // namespace ridgeline

#define RIDGELINE_CONCAT_(a, b) a##b
#define RIDGELINE_CONCAT(a, b) RIDGELINE_CONCAT_(a, b)

/// RIDGELINE_TRY(auto x, f()): x is f()'s value, or the caller returns its error.
#define RIDGELINE_TRY(declaration, expression)                                         \
  auto RIDGELINE_CONCAT(try_, __LINE__) = (expression);                                \
  if (!RIDGELINE_CONCAT(try_, __LINE__))                                               \
    return ::tl::make_unexpected(std::move(RIDGELINE_CONCAT(try_, __LINE__)).error()); \
  declaration = *std::move(RIDGELINE_CONCAT(try_, __LINE__))

/// RIDGELINE_TRY_STATUS(f()): the caller returns f()'s error, if it has one.
#define RIDGELINE_TRY_STATUS(expression)                        \
  do {                                                          \
    if (auto status_ = (expression); !status_)                  \
      return ::tl::make_unexpected(std::move(status_).error()); \
  } while (false)
