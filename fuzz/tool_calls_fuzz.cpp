#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "ridgeline/text/tool_calls/output_parser.h"

// A format, where to cut, and what a model says: what is read of it does not depend on the cuts.
namespace {

using namespace ridgeline;

std::string read(const OutputFormat& format, std::string_view text, std::size_t chunk) {
  const auto parser = make_output_parser(format);
  std::string said[2], calls;
  const auto take = [&](const std::vector<OutputPiece>& pieces) {
    for (const OutputPiece& piece : pieces) {
      if (piece.kind == OutputPiece::Kind::kToolCall) {
        if (!piece.call_name.empty()) calls += "\n" + piece.call_name + ": ";
        calls += piece.text;
      } else {
        said[piece.kind == OutputPiece::Kind::kContent] += piece.text;
      }
    }
  };
  for (; !text.empty(); text.remove_prefix(std::min(chunk, text.size())))
    take(parser->push(text.substr(0, chunk)));
  take(parser->finish());
  return said[0] + "\n---\n" + said[1] + "\n---" + calls;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size < 2) return 0;
  OutputFormat format;
  format.calls = static_cast<ToolCallFormat>(bytes[0] % 6);
  if ((bytes[0] & 0x40) != 0) {
    format.thinking_open = "<think>";
    format.thinking_close = "</think>";
    format.inside_thinking = (bytes[0] & 0x80) != 0;
  }
  format.functions = {{"f", R"({"properties": {"n": {"type": "integer"}}})"}, {"g", ""}};
  const std::string_view text(reinterpret_cast<const char*>(bytes) + 2, size - 2);
  const std::string whole = read(format, text, text.size() + 1);
  if (whole == read(format, text, 1) && whole == read(format, text, 1 + bytes[1] % 16U)) return 0;
  std::fprintf(stderr, "violated: the cuts make a difference\n");
  std::abort();
}
