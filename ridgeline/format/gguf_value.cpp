#include "ridgeline/format/gguf_value.h"

#include <fmt/format.h>

#include "ridgeline/format/gguf_text.h"

namespace ridgeline {
namespace {

const char* plural_of(GgufType element) {
  switch (element) {
    case GgufType::kString:
      return "strings";
    case GgufType::kBool:
      return "booleans";
    case GgufType::kFloat32:
    case GgufType::kFloat64:
      return "numbers";
    default:
      return "integers";
  }
}

}  // namespace

namespace gguf {

std::string quoted(std::string_view name) {
  constexpr std::size_t kShownMax = 80;
  std::string out = "'";
  for (const char c : name.substr(0, kShownMax)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f)
      out += c;
    else
      out += fmt::format("\\x{:02x}", byte);
  }
  if (name.size() > kShownMax) out += "...";
  return out + "'";
}

std::string type_text(GgufType type) {
  constexpr const char* kNames[] = {"uint8",  "int8",    "uint16",  "int16",  "uint32",
                                    "int32",  "float32", "boolean", "string", "array",
                                    "uint64", "int64",   "float64"};
  const auto id = static_cast<std::uint32_t>(type);
  return id < std::size(kNames) ? kNames[id] : fmt::format("type {}", id);
}

}  // namespace gguf

std::string GgufValue::describe() const {
  return std::visit(
      [this]<class T>(const T& v) -> std::string {
        if constexpr (std::is_same_v<T, bool>)
          return fmt::format("the boolean {}", v);
        else if constexpr (std::is_same_v<T, double>)
          return fmt::format("the number {}", v);
        else if constexpr (std::is_integral_v<T>)
          return fmt::format("the integer {}", v);
        else if constexpr (std::is_same_v<T, std::string_view>)
          return fmt::format("the string {}", gguf::quoted(v));
        else
          return fmt::format("an array of {} {}", v.size(), plural_of(type));
      },
      value);
}

}  // namespace ridgeline
