// Text from a prompt, with Ridgeline as a library.
//
//     generate MODEL.gguf "Once upon a time"
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "ridgeline/engine/engine.h"

namespace {

int give_up(const ridgeline::Error& error) {
  std::fprintf(stderr, "generate: %s\n", error.message.c_str());
  return EXIT_FAILURE;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: generate MODEL.gguf PROMPT\n");
    return EXIT_FAILURE;
  }
  ridgeline::EngineOptions options;
  options.context = 2048;
  auto engine = ridgeline::Engine::load(argv[1], options);
  if (!engine) return give_up(engine.error());

  ridgeline::SamplingParams params;
  params.max_tokens = 200;
  params.seed = 42;
  const auto prompt = (*engine)->tokenizer().encode(argv[2]);
  std::fputs(argv[2], stdout);
  const auto status = (*engine)->generate(prompt, params, [](const ridgeline::TokenEvent& event) {
    std::fputs(event.text.c_str(), stdout);
    std::fflush(stdout);
  });
  if (!status) return give_up(status.error());
  std::fputs("\n", stdout);
  return EXIT_SUCCESS;
}
