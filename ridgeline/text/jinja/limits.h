#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace ridgeline::jinja {

/// What a template may use up in one rendering. A template comes from whoever made the
/// model's file: it may be hostile, and never more than slow to refuse.
struct Limits {
  /// Nodes evaluated, items visited, and every 64 bytes of text worked through. The
  /// longest of the known templates takes about a hundred per message.
  std::int64_t steps = 20'000'000;
  std::size_t memory_bytes = std::size_t{256} << 20;  ///< of values alive at a time
  std::size_t output_bytes = std::size_t{64} << 20;
  /// Of nested statements, expressions and macro calls together: what the thread's
  /// stack must hold.
  int depth = 1000;
};

/// Of parsed nodes within each other, and of lists and dicts within each other.
inline constexpr int kMaxNesting = 200;
inline constexpr std::size_t kMaxSourceBytes = std::size_t{4} << 20;

/// Thrown within this folder only: Template (template.h) returns it as an Error.
struct TemplateError {
  std::string message;
  int line = 0;  ///< 0: not yet known
};

}  // namespace ridgeline::jinja
