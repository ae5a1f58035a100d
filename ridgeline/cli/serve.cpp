#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <map>
#include <thread>

#include "ridgeline/cli/commands.h"
#include "ridgeline/cli/engine_arguments.h"
#include "ridgeline/model/load_chat_template.h"
#include "ridgeline/model/model_file.h"
#include "ridgeline/server/serving.h"

namespace ridgeline::cli {
namespace {

struct ServeArguments {
  EngineArguments engine;
  ServingOptions serving;
  int max_sequences = 32;
  double kv_share = 0.5, prefill_share = EngineOptions{}.prefill_share;
  bool no_prefix_cache = false, no_request_log = false;
  std::string chat_template, memory_limit;
  double drain_seconds = 30, header_seconds = 15, body_seconds = 60, idle_seconds = 75,
         write_seconds = 30;
};

std::chrono::milliseconds milliseconds(double seconds) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
}

/// SIGTERM and SIGINT drain, a second one stops; SIGHUP reads the keys again. They are blocked
/// in every thread but this one's, which waits for them.
class SignalWatch {
 public:
  explicit SignalWatch(double drain_seconds) : drain_(milliseconds(drain_seconds)) {
    sigemptyset(&set_);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR2}) sigaddset(&set_, signal);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
    thread_ = std::thread([this] { run(); });
  }
  ~SignalWatch() {
    ended_ = true;
    kill(getpid(), SIGUSR2);
    thread_.join();
  }
  /// Until then a signal ends the program.
  void watch(Serving& serving) { serving_ = &serving; }

 private:
  void run() {
    bool draining = false;
    for (int signal = 0; sigwait(&set_, &signal) == 0 && !ended_;) {
      Serving* serving = serving_;
      if (signal == SIGUSR2) continue;
      if (signal == SIGHUP) {
        if (serving != nullptr) serving->reload_keys();
      } else if (serving == nullptr) {
        std::_Exit(128 + signal);
      } else if (draining) {
        fmt::print(stderr, "ridgeline: stopping at once\n");
        serving->stop();
      } else {
        fmt::print(stderr, "ridgeline: draining; again to stop at once\n");
        draining = true;
        serving->drain(drain_);
      }
    }
  }

  const std::chrono::milliseconds drain_;
  sigset_t set_{};
  std::atomic<Serving*> serving_ = nullptr;
  std::atomic<bool> ended_ = false;
  std::thread thread_;
};

/// None where the model has none: chat is then refused, and everything else works.
Result<std::optional<ChatTemplate>> chat_template_of(const ServeArguments& arguments,
                                                     const std::string& path) {
  RIDGELINE_TRY(const ModelFile file, ModelFile::open(path));
  RIDGELINE_TRY(const std::unique_ptr<Tokenizer> tokenizer, file.tokenizer());
  std::string bos = bos_token_text(*tokenizer), eos = eos_token_text(*tokenizer);
  if (!arguments.chat_template.empty()) {
    RIDGELINE_TRY(ChatTemplate own,
                  load_chat_template(arguments.chat_template, std::move(bos), std::move(eos)));
    return std::optional(std::move(own));
  }
  RIDGELINE_TRY(const auto source, file.chat_template());
  if (!source) return std::optional<ChatTemplate>();
  RIDGELINE_TRY(ChatTemplate own,
                load_chat_template(file, /*with_tools=*/true, std::move(bos), std::move(eos)));
  return std::optional(std::move(own));
}

/// "drafts: up to 16 tokens by lookup, recent"; without drafters "drafts: none".
std::string describe_drafters(const SpeculationStats& speculation, const std::string& rule) {
  if (!speculation.enabled) return "drafts: none";
  std::string names;
  for (const DrafterStats& drafter : speculation.drafters)
    names += (names.empty() ? "" : ", ") + drafter.name;
  return fmt::format("drafts: up to {} tokens by {}, {} rule", speculation.max_draft, names, rule);
}

/// What drafts have been worth, at the server's end.
std::string describe_drafts(const SpeculationStats& speculation) {
  const SpeculationCounts& all = speculation.all;
  std::string shares;
  for (const DrafterStats& drafter : speculation.drafters)
    shares += fmt::format("{}{} {} of {}", shares.empty() ? "" : ", ", drafter.name,
                          drafter.accepted, drafter.drafted);
  return fmt::format(
      "drafts: {} of {} tokens accepted ({}), {:.2f} tokens a pass, an estimated {:.2f} times "
      "plain decoding",
      all.accepted, all.drafted, shares, all.tokens_per_check(), all.speedup());
}

Status serve(ServeArguments arguments) {
  SignalWatch signals(arguments.drain_seconds);
  RIDGELINE_TRY(const std::string path, arguments.engine.model_path());
  ServingOptions& serving = arguments.serving;
  serving.model_path = path;
  serving.version = RIDGELINE_VERSION;
  RIDGELINE_TRY(serving.chat_template, chat_template_of(arguments, path));
  serving.http.header_timeout = milliseconds(arguments.header_seconds);
  serving.http.body_timeout = milliseconds(arguments.body_seconds);
  serving.http.idle_timeout = milliseconds(arguments.idle_seconds);
  serving.http.write_timeout = milliseconds(arguments.write_seconds);
  serving.log_requests = !arguments.no_request_log;
  if (!arguments.memory_limit.empty()) {
    RIDGELINE_TRY(serving.memory_limit_bytes,
                  parse_bytes(arguments.memory_limit, "--memory-limit"));
  }

  arguments.engine.embeds = true;  // an encoder serves /v1/embeddings alone
  arguments.engine.prefix_cache = !arguments.no_prefix_cache;
  arguments.engine.prefill_share = arguments.prefill_share;
  arguments.engine.kv_share = arguments.kv_share;
  arguments.engine.measure_cost = true;
  RIDGELINE_TRY(std::unique_ptr<Engine> engine, arguments.engine.load(arguments.max_sequences));
  const std::int64_t context = engine->context();
  const MemoryUse memory = engine->memory_use();
  RIDGELINE_TRY(const std::unique_ptr<Serving> server,
                Serving::start(std::move(engine), std::move(serving)));
  signals.watch(*server);

  const auto mebibytes = [](std::uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
  fmt::print(stderr,
             "{}: {} tokens of context, {} sequences at once, {:.0f} MiB of weights, {:.0f} MiB "
             "of KV cache\n",
             path, context, arguments.max_sequences, mebibytes(memory.weight_bytes),
             mebibytes(memory.kv_bytes));
  fmt::print(stderr, "{}\n",
             describe_drafters(server->stats().speculation, arguments.engine.speculation.rule));
  if (const std::string warning = server->warning(); !warning.empty())
    fmt::print(stderr, "ridgeline: warning: {}\n", warning);
  fmt::print(stderr, "listening on {}\n", server->url());
  server->wait();
  if (const SpeculationStats speculation = server->stats().speculation; speculation.all.checks > 0)
    fmt::print(stderr, "{}\n", describe_drafts(speculation));
  return {};
}

void add_address(CLI::App& command, ServeArguments& a) {
  HttpOptions& http = a.serving.http;
  const char* group = "Address";
  command
      .add_option("--host", http.host,
                  "to listen on: 127.0.0.1, 0.0.0.0, :: (IPv4 and IPv6), unix:PATH")
      ->capture_default_str()
      ->group(group);
  command.add_option("--port", http.port, "0: any free one, which is printed")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str()
      ->group(group);
  auto* certificate =
      command.add_option("--tls-cert", http.tls_certificate_file, "PEM, with its chain")
          ->group(group);
  auto* key = command.add_option("--tls-key", http.tls_key_file, "PEM")->group(group);
  certificate->needs(key);
  key->needs(certificate);
  command
      .add_option("--cors-origin", http.cors_origins,
                  "whose pages may call this server, as https://example.org, or *; repeatable")
      ->group(group);
  command
      .add_option("--served-model-name", a.serving.names,
                  "what requests may call the model; the first is shown (default: the file's name)")
      ->group(group);
}

void add_model(CLI::App& command, ServeArguments& a) {
  const char* group = "Scheduling and prompts";
  command.add_option("--max-num-seqs,--parallel", a.max_sequences, "sequences that run at once")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str()
      ->group(group);
  command
      .add_option("--kv-share", a.kv_share,
                  "of the memory that is left beside the weights, for the KV cache, where "
                  "--kv-memory says nothing")
      ->check(CLI::Range(0.01, 0.95))
      ->capture_default_str()
      ->group(group);
  command
      .add_option("--prefill-share", a.prefill_share,
                  "of a step's time, what prompts may take while others generate: more brings "
                  "first tokens earlier and the others' later")
      ->check(CLI::Range(0.05, 0.95))
      ->capture_default_str()
      ->group(group);
  command.add_flag("--no-prefix-cache", a.no_prefix_cache, "compute every prompt anew")
      ->group(group);
  command
      .add_option("--chat-template", a.chat_template,
                  "a Jinja file or a built-in template, in place of the model's own")
      ->group(group);
  command
      .add_option("--tool-call-parser", a.serving.tool_call_parser,
                  "how the model writes calls of tools, where its template does not say")
      ->group(group);
}

void add_limits(CLI::App& command, ServeArguments& a) {
  const char* group = "Keys and limits";
  ServingOptions& s = a.serving;
  const auto number = [&](const char* name, auto& value, const char* help) {
    command.add_option(name, value, help)
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str()
        ->group(group);
  };
  command.add_option("--api-keys", s.api_keys_file, "who may come in; see docs/SERVING.md")
      ->group(group);
  number("--rpm", s.anonymous_limits.requests_per_minute,
         "requests a minute, without --api-keys; 0: any number");
  number("--tpm", s.anonymous_limits.tokens_per_minute, "tokens a minute, likewise");
  number("--max-concurrent", s.anonymous_limits.concurrent_requests,
         "requests at the same time, likewise");
  number("--max-queue", s.queue.max_waiting_requests, "requests that may wait; one more: 503");
  number("--max-queue-tokens", s.queue.max_waiting_tokens, "tokens of their prompts");
  number("--max-prompt-tokens", s.max_prompt_tokens, "0: as many as the context holds");
  number("--max-output-tokens", s.max_output_tokens, "0: as many as the context holds");
  number("--queue-timeout", s.deadlines.queue_seconds, "seconds a request may wait; 0: any time");
  number("--first-token-timeout", s.deadlines.first_token_seconds, "seconds to the first token");
  number("--request-timeout", s.deadlines.total_seconds, "seconds to the last token");
  number("--max-connections", s.http.max_connections, "open at a time");
  number("--max-header-bytes", s.http.max_header_bytes, "of a request, with its first line");
  number("--max-body-bytes", s.http.max_body_bytes, "of a request");
  number("--header-timeout", a.header_seconds, "seconds for a request's header");
  number("--body-timeout", a.body_seconds, "seconds for its body");
  number("--idle-timeout", a.idle_seconds, "seconds between requests of a connection");
  number("--write-timeout", a.write_seconds, "seconds without a byte taken by a slow reader");
  number("--max-output-buffer", s.http.max_output_bytes,
         "bytes that wait for a slow reader of a stream before it is given up");
  number("--drain-timeout", a.drain_seconds, "seconds that running requests have after SIGTERM");
}

void add_ladder(CLI::App& command, ServeArguments& a) {
  const char* group = "Degradation ladder";
  LadderOptions& l = a.serving.ladder;
  const auto number = [&](const char* name, auto& value, double low, double high,
                          const char* help) {
    command.add_option(name, value, help)
        ->check(CLI::Range(low, high))
        ->capture_default_str()
        ->group(group);
  };
  number("--queue-delay-target", l.queue_delay_target_seconds, 0.1, 3600,
         "seconds; a longer wait is pressure");
  number("--kv-pressure", l.kv_use_max, 0.1, 1, "share of the KV cache in use that is pressure");
  number("--memory-pressure", l.memory_use_max, 0.1, 1, "share of the memory limit");
  command
      .add_option("--memory-limit", a.memory_limit,
                  "of the process, as 12G (default: the cgroup's or the machine's)")
      ->group(group);
  number("--capped-max-tokens", l.capped_max_tokens, 1, 1 << 20,
         "of new requests of low priority under pressure");
  number("--ladder-up", l.step_up_seconds, 0.1, 3600, "seconds of pressure for each rung");
  number("--ladder-down", l.step_down_seconds, 0.1, 3600, "seconds of relief for each rung");
}

}  // namespace

void add_serve(CLI::App& program, Action& action) {
  auto arguments = std::make_shared<ServeArguments>();
  CLI::App* command = program.add_subcommand("serve", "an OpenAI-compatible server for a model");
  arguments->engine.add_to(*command, /*model_required=*/false);
  arguments->engine.speculation.drafters = {"lookup", "recent"};
  arguments->engine.speculation.add_to(*command);
  add_address(*command, *arguments);
  add_model(*command, *arguments);
  add_limits(*command, *arguments);
  add_ladder(*command, *arguments);
  static const std::map<std::string, LogFormat> formats{{"text", LogFormat::kText},
                                                        {"json", LogFormat::kJson}};
  command->add_option("--log-format", arguments->serving.log_format, "text or json, on stderr")
      ->transform(CLI::Transformer(formats))
      ->group("Log");
  command->add_flag("--no-request-log", arguments->no_request_log, "no line for each request")
      ->group("Log");
  command->callback([arguments, &action] { action = [arguments] { return serve(*arguments); }; });
}

}  // namespace ridgeline::cli
