#include "ridgeline/tools/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

extern char** environ;

namespace ridgeline {
namespace {

using Clock = std::chrono::steady_clock;

/// Of each stream; what comes after is read and dropped.
constexpr std::size_t kMaxOutputBytes = std::size_t{16} << 20;

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { close(); }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int get() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

struct Pipe {
  Descriptor read, write;
};
Result<Pipe> make_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return fail(fmt::format("no pipe: {}", std::strerror(errno)));
  return Pipe{Descriptor(ends[0]), Descriptor(ends[1])};
}

/// SIGINT and SIGTERM come as something to read while this lives.
class HeldSignals {
 public:
  HeldSignals() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGINT);
    sigaddset(&set_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set_, &before_);
    descriptor_ = Descriptor(signalfd(-1, &set_, SFD_CLOEXEC | SFD_NONBLOCK));
  }
  ~HeldSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;

  int descriptor() const { return descriptor_.get(); }
  const sigset_t& before() const { return before_; }
  /// Takes the one that came, or else it would be delivered afterwards.
  void take() {
    signalfd_siginfo info;
    while (read(descriptor_.get(), &info, sizeof info) == sizeof info) {
    }
  }

 private:
  sigset_t set_, before_;
  Descriptor descriptor_;
};

Result<pid_t> spawn(const std::vector<std::string>& arguments, const Pipe& out, const Pipe& err,
                    const sigset_t& mask, const std::string& folder) {
  std::vector<char*> argv;
  for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out.write.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err.write.get(), STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setsigmask(&attributes, &mask);
  pid_t child = 0;
  const int error = posix_spawnp(&child, argv[0], &actions, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0)
    return fail(fmt::format("cannot start '{}': {}", arguments[0], std::strerror(error)));
  return child;
}

/// Reads what is there; false at the end.
bool drain(int descriptor, std::string& text) {
  std::array<char, 1 << 16> buffer;
  const ssize_t n = read(descriptor, buffer.data(), buffer.size());
  if (n < 0) return errno == EINTR || errno == EAGAIN;
  const auto bytes = static_cast<std::size_t>(n);
  text.append(buffer.data(), std::min(bytes, kMaxOutputBytes - text.size()));
  return n > 0;
}

bool has_text(const std::string& text) {
  return text.find_first_not_of(" \t\r\n") != std::string::npos;
}

/// Collects both streams until they and the child have ended. Errors: time is over; a
/// signal came.
Status collect(pid_t child, Pipe& out, Pipe& err, HeldSignals& signals, Clock::time_point start,
               double seconds_max, ChildResult& result) {
  const auto elapsed = [start] {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  // glibc 2.36 declares its pidfd_open for C alone.
  Descriptor running(static_cast<int>(syscall(SYS_pidfd_open, child, 0)));
  while (out.read.get() >= 0 || err.read.get() >= 0 || running.get() >= 0) {
    const double left = seconds_max - elapsed();
    if (left <= 0) return fail(fmt::format("it ran for more than {:.0f} s", seconds_max));
    std::array<pollfd, 4> waiting{
        pollfd{out.read.get(), POLLIN, 0}, pollfd{err.read.get(), POLLIN, 0},
        pollfd{running.get(), POLLIN, 0}, pollfd{signals.descriptor(), POLLIN, 0}};
    poll(waiting.data(), waiting.size(), static_cast<int>(std::min(left, 3600.0) * 1e3) + 1);
    if (waiting[3].revents != 0) {
      signals.take();
      return fail(std::string(kInterrupted));
    }
    if (waiting[0].revents != 0 && !drain(out.read.get(), result.out)) out.read.close();
    if (waiting[1].revents != 0 && !drain(err.read.get(), result.err)) err.read.close();
    if (waiting[2].revents != 0) running.close();
    if (!result.first_output_seconds && has_text(result.out))
      result.first_output_seconds = elapsed();
  }
  return {};
}

}  // namespace

Result<ChildResult> run_child(const std::vector<std::string>& arguments, double seconds_max,
                              const std::string& folder) {
  RIDGELINE_TRY(Pipe out, make_pipe());
  RIDGELINE_TRY(Pipe err, make_pipe());
  HeldSignals signals;
  const auto start = Clock::now();
  RIDGELINE_TRY(const pid_t child, spawn(arguments, out, err, signals.before(), folder));
  out.write.close();
  err.write.close();
  ChildResult result;
  const Status collected = collect(child, out, err, signals, start, seconds_max, result);
  if (!collected) kill(-child, SIGKILL);
  int status = 0;
  rusage usage{};
  while (wait4(child, &status, 0, &usage) < 0 && errno == EINTR) {
  }
  RIDGELINE_TRY_STATUS(collected);
  result.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.peak_resident_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
  return result;
}

ScratchFolder::ScratchFolder() {
  std::error_code error;
  std::string name = (std::filesystem::temp_directory_path(error) / "ridgeline-XXXXXX").string();
  if (mkdtemp(name.data()) != nullptr) path_ = name;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  if (path_ != ".") std::filesystem::remove_all(path_, ignored);
}

std::string ChildResult::last_words() const {
  for (const std::string* text : {&err, &out}) {
    const std::size_t end = text->find_last_not_of(" \t\r\n");
    if (end == std::string::npos) continue;
    const std::size_t newline = text->find_last_of("\r\n", end);
    const std::size_t begin = newline == std::string::npos ? 0 : newline + 1;
    return text->substr(begin, end - begin + 1);
  }
  return "it printed nothing";
}

Result<std::vector<std::string>> split_words(std::string_view text) {
  std::vector<std::string> words;
  bool in_word = false;
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote == 0 && (c == ' ' || c == '\t' || c == '\n')) {
      in_word = false;
      continue;
    }
    if (!in_word) words.emplace_back();
    in_word = true;
    if (c == quote) {
      quote = 0;
    } else if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
    } else if (c == '\\' && quote != '\'' && i + 1 < text.size()) {
      words.back() += text[++i];
    } else {
      words.back() += c;
    }
  }
  if (quote != 0) return fail(fmt::format("'{}' has an open quote {}", text, quote));
  return words;
}

bool can_run(const std::string& program) {
  if (program.find('/') != std::string::npos) return access(program.c_str(), X_OK) == 0;
  const char* path = std::getenv("PATH");
  std::string_view folders = path == nullptr ? "/usr/bin:/bin" : path;
  for (;;) {
    const std::size_t colon = folders.find(':');
    const std::string folder(folders.substr(0, colon));
    if (access(((folder.empty() ? "." : folder) + "/" + program).c_str(), X_OK) == 0) return true;
    if (colon == std::string_view::npos) return false;
    folders.remove_prefix(colon + 1);
  }
}

}  // namespace ridgeline
