#include "ridgeline/text/jinja/token_stream.h"

#include <fmt/format.h>

namespace ridgeline::jinja {

void TokenStream::unexpected(std::string_view expected) const {
  fail(fmt::format("expected {}, got {}", expected, describe(current())));
}

void TokenStream::fail(std::string message) const {
  throw TemplateError{std::move(message), line()};
}

}  // namespace ridgeline::jinja
