// parse_gguf on any bytes, then every accessor on what it accepted. -max_len=4096
// is plenty: nothing depends on the size but limits, which the tests cover.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

#include "ridgeline/format/gguf.h"

namespace ridgeline {
namespace {

volatile std::size_t sink;

void touch(std::string_view text) {
  for (const char c : text) sink = sink + static_cast<unsigned char>(c);
}

/// A wrong type is an error with a message, never a crash; the value must be readable.
void read_every_way(const Checkpoint& file, const std::string& key) {
  const auto count_errors = [](const auto&... results) {
    return (static_cast<int>(!results.has_value()) + ...);
  };
  const auto text = file.string(key);
  const auto list = file.strings(key);
  const int errors = count_errors(file.integer(key), file.number(key), file.boolean(key), text,
                                  list, file.integers(key), file.numbers(key), file.booleans(key));
  if (errors == 0) std::abort();  // no value has all types
  if (text) touch(text->value());
  if (list)
    for (const std::string_view element : list->value()) touch(element);
}

void walk(const Checkpoint& file) {
  for (const auto& [key, value] : file.metadata()) {
    if (!file.has(key)) std::abort();
    touch(value.describe());
    read_every_way(file, key);
  }
  for (const TensorView& tensor : file.tensors()) {
    if (file.tensor(tensor.name) != &tensor) std::abort();
    if (tensor.rows() * tensor.cols() != tensor.elements()) std::abort();
    if (tensor.bytes != row_bytes(tensor.dtype, tensor.elements())) std::abort();
    touch({reinterpret_cast<const char*>(tensor.data), tensor.bytes});
    file.will_read(tensor);
    file.release(tensor);
  }
}

}  // namespace
}  // namespace ridgeline

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto file = ridgeline::parse_gguf(std::as_bytes(std::span(data, size)), "fuzz.gguf");
  if (file) ridgeline::walk(*file);
  return 0;
}
