#include "ridgeline/tools/hub/downloader.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "ridgeline/tools/hub/blob_hasher.h"
#include "ridgeline/tools/hub/choose_files.h"
#include "ridgeline/tools/hub/http_client.h"
#include "ridgeline/tools/hub/hub_api.h"
#include "ridgeline/tools/hub/part_file.h"

namespace ridgeline::hub {
namespace {

using Clock = std::chrono::steady_clock;

/// A connection that brought this much was not in vain: failures count from one again.
constexpr std::uint64_t kProgressBytes = 1 << 20;
constexpr std::size_t kHashBytes = 4 << 20;
constexpr std::chrono::milliseconds kProgressPeriod{100};

/// Guarded by the transfer's mutex, but for the content of `part`.
struct FileState {
  FileState(const Download& d, PartFile p)
      : download(d), part(std::move(p)), running(part.num_segments(), false), hasher(d.file) {}

  const Download& download;
  PartFile part;
  std::vector<bool> running;
  bool single_stream = false;  ///< the server does not send ranges
  /// Counts restarts: whoever still works for an earlier one is not listened to.
  int generation = 0;
  int requests = 0;          ///< that may still write
  bool draining = false;     ///< until those of an earlier generation have ended
  bool was_damaged = false;  ///< came whole, with another hash
  bool published = false;

  /// Where the hub's redirect led, so that the next segment goes there at once.
  std::string direct_url;
  bool may_go_direct = true;

  int failures = 0;            ///< in a row
  int round = 0;               ///< of failures: requests that break together count once
  std::uint64_t received = 0;  ///< since the last failure
  Clock::time_point not_before{};

  // Of the thread that hashes.
  BlobHasher hasher;
  std::uint64_t hashed = 0;
  int hashed_generation = 0;
};

/// What one request is to bring.
struct Job {
  FileState* file = nullptr;
  std::size_t segment = 0;
  std::uint64_t begin = 0, end = 0;
  bool whole = false;  ///< no range is asked for
  bool direct = false;
  std::string url;
  int generation = 0, round = 0;
};

/// What an answer's head came to.
enum class Verdict { kNone, kGood, kNoRanges, kWrongLength, kStatus };

/// "bytes 5-9/100": do these bytes begin at `begin`, in a file of `size`?
bool is_range(const std::string& text, std::uint64_t begin, std::uint64_t size) {
  const std::string start = fmt::format("bytes {}-", begin);
  const std::size_t slash = text.find('/');
  if (!text.starts_with(start) || slash == text.npos) return false;
  const std::string total = text.substr(slash + 1);
  return total == "*" || total == fmt::format("{}", size);
}

class Transfer {
 public:
  Transfer(std::string repo, const HubSettings& settings, const ProgressFunction& progress)
      : repo_(std::move(repo)), settings_(settings), backoff_(settings), report_(progress) {}

  Status run(std::span<const Download> downloads);

 private:
  Status open(std::span<const Download> downloads);
  Status check_space(std::span<const Download> downloads) const;

  // Of the threads that download.
  void work();
  std::optional<Job> next_job();
  std::optional<Job> job_of(FileState& file);
  void fetch(HttpClient& client, const Job& job);
  Verdict judge(const Job& job, const HttpHead& head) const;
  bool store(const Job& job, std::uint64_t& at, std::span<const std::byte> bytes);
  void settle(const Job& job, std::uint64_t at, Verdict verdict, const HttpOutcome& outcome);
  void restart(FileState& file);
  void count_failure(const Job& job, const HttpHead& head, std::string message);
  void give_up(std::string message);

  // Of the thread that called.
  Status watch();
  Status hash_more(FileState& file, bool& worked);
  Status finish(FileState& file);
  void report(bool at_once);

  bool over() const { return ending_.load(std::memory_order_relaxed) || settings_.stopped(); }

  const std::string repo_;
  const HubSettings& settings_;
  const Backoff backoff_;
  const ProgressFunction& report_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::unique_ptr<FileState>> files_;
  std::atomic<bool> ending_ = false;
  std::string error_;  ///< the first
  DownloadProgress progress_;
  Clock::time_point reported_{};
  std::vector<std::byte> buffer_;
};

Status Transfer::check_space(std::span<const Download> downloads) const {
  std::uint64_t needed = 0;
  for (const Download& d : downloads) {
    std::error_code error;
    // A part has its space already.
    if (!std::filesystem::exists(d.part_path, error)) needed += d.file.size;
  }
  std::error_code error;
  const auto folder = std::filesystem::path(downloads.front().part_path).parent_path();
  const auto space = std::filesystem::space(folder, error);
  if (!error && space.available < needed)
    return fail(fmt::format("{}: {} are to be downloaded, and only {} are free", folder.string(),
                            size_text(needed), size_text(space.available)));
  return {};
}

Status Transfer::open(std::span<const Download> downloads) {
  RIDGELINE_TRY_STATUS(check_space(downloads));
  progress_.files_total = downloads.size();
  for (const Download& d : downloads) {
    progress_.bytes_total += d.file.size;
    if (d.file.size == 0) {  // there is nothing to ask for
      if (BlobHasher(d.file).finish() != d.file.hash())
        return fail(fmt::format("{}: the hub's hash is not that of an empty file", d.file.path));
      const FileDescriptor fd(::open(d.path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
      if (fd.get() < 0) return system_failure(d.path, "create the file", errno);
      ++progress_.files;
      continue;
    }
    RIDGELINE_TRY(PartFile part, PartFile::open(d.part_path, d.file.size, settings_.segment_bytes));
    progress_.bytes_before += part.bytes_there();
    files_.push_back(std::make_unique<FileState>(d, std::move(part)));
  }
  return {};
}

Status Transfer::run(std::span<const Download> downloads) {
  RIDGELINE_TRY_STATUS(open(downloads));
  std::size_t segments = 0;
  for (const auto& file : files_) segments += file->part.num_segments();
  const std::size_t jobs = std::min(static_cast<std::size_t>(settings_.jobs), segments);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < jobs; ++i) threads.emplace_back([this] { work(); });
  const Status status = watch();
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads) thread.join();
  return status;
}

void Transfer::work() {
  HttpClient client(settings_, [this] { return over(); });
  while (const std::optional<Job> job = next_job()) fetch(client, *job);
}

/// The first segment that nobody works on, of a file that is not waiting for its next try.
std::optional<Job> Transfer::next_job() {
  std::unique_lock lock(mutex_);
  while (!over()) {
    auto wake = Clock::now() + std::chrono::milliseconds(100);  // for a stop
    for (const auto& file : files_) {
      if (file->not_before > Clock::now()) {
        wake = std::min(wake, file->not_before);
        continue;
      }
      if (std::optional<Job> job = job_of(*file)) return job;
    }
    changed_.wait_until(lock, wake);
  }
  return std::nullopt;
}

std::optional<Job> Transfer::job_of(FileState& file) {
  if (file.draining && file.requests > 0) return std::nullopt;
  file.draining = false;
  Job job;
  job.file = &file;
  job.end = file.part.size();
  if (file.single_stream) {
    if (file.running[0] || file.part.there_until(0) == file.part.size()) return std::nullopt;
    job.whole = true;
  } else {
    while (job.segment < file.running.size() &&
           (file.running[job.segment] || file.part.is_done(job.segment)))
      ++job.segment;
    if (job.segment == file.running.size()) return std::nullopt;
    job.begin = file.part.begin(job.segment) + file.part.there(job.segment);
    job.end = file.part.end(job.segment);
    job.whole = job.begin == 0 && job.end == file.part.size();
  }
  file.running[job.segment] = true;
  ++file.requests;
  job.direct = !file.direct_url.empty();
  job.url = job.direct ? file.direct_url : file.download.url;
  job.generation = file.generation;
  job.round = file.round;
  return job;
}

void Transfer::fetch(HttpClient& client, const Job& job) {
  HttpRequest request{job.url, std::nullopt, std::chrono::seconds(0)};
  if (!job.whole) request.range = {job.begin, job.end - 1};
  Verdict verdict = Verdict::kNone;
  std::uint64_t at = job.begin;
  const HttpReceiver receiver{[&](const HttpHead& head) {
                                verdict = judge(job, head);
                                return verdict == Verdict::kGood;
                              },
                              [&](std::span<const std::byte> bytes) {
                                if (bytes.size() > job.end - at) {
                                  verdict = job.whole ? Verdict::kWrongLength : Verdict::kNoRanges;
                                  return false;
                                }
                                return store(job, at, bytes);
                              }};
  const HttpOutcome outcome = client.get(request, receiver);
  settle(job, at, verdict, outcome);
  if (at == job.end) job.file->part.begin_writeback(job.begin, job.end);
}

Verdict Transfer::judge(const Job& job, const HttpHead& head) const {
  if (head.status == 416 || (head.status == 200 && !job.whole)) return Verdict::kNoRanges;
  const auto length = head.content_length();
  if (head.status == 206 && !job.whole) {
    if (!is_range(head.header("content-range"), job.begin, job.file->download.file.size))
      return Verdict::kNoRanges;
    return Verdict::kGood;
  }
  if (head.status != 200) return Verdict::kStatus;
  return length && *length != job.end ? Verdict::kWrongLength : Verdict::kGood;
}

bool Transfer::store(const Job& job, std::uint64_t& at, std::span<const std::byte> bytes) {
  FileState& file = *job.file;
  Status status = file.part.write(at, bytes);
  const std::lock_guard lock(mutex_);
  if (file.generation != job.generation || ending_) return false;
  if (status) status = file.part.note(at, bytes.size());
  if (!status) {
    give_up(status.error().message);
    return false;
  }
  at += bytes.size();
  file.received += bytes.size();
  return true;
}

void Transfer::settle(const Job& job, std::uint64_t at, Verdict verdict,
                      const HttpOutcome& outcome) {
  const std::lock_guard lock(mutex_);
  FileState& file = *job.file;
  const std::string& name = file.download.file.path;
  const HttpHead& head = outcome.head;
  --file.requests;
  changed_.notify_all();
  if (file.generation != job.generation || over()) return;
  file.running[job.segment] = false;
  if (at == job.end) {
    if (file.may_go_direct && head.url != job.url) file.direct_url = head.url;
    return;
  }
  switch (verdict) {
    case Verdict::kNoRanges:
      if (job.whole) return give_up(refusal(head, settings_, repo_, name));
      file.single_stream = true;
      return restart(file);
    case Verdict::kWrongLength:
      return give_up(fmt::format(
          "{}: {} sends {} bytes, but the hub's list says {}", name, without_query(head.url),
          head.content_length() ? fmt::format("{}", *head.content_length()) : "more",
          file.download.file.size));
    case Verdict::kStatus:
      if (job.direct) {
        // An address that was good for one range or for some minutes; the hub has a new one.
        file.direct_url.clear();
        file.may_go_direct = false;
        return;
      }
      if (is_passing(head.status))
        return count_failure(job, head, refusal(head, settings_, repo_, name));
      return give_up(refusal(head, settings_, repo_, name));
    case Verdict::kNone:
    case Verdict::kGood:
      break;
  }
  if (outcome.kind == HttpOutcome::Kind::kFailed)
    return give_up(fmt::format("{}: cannot be downloaded: {}", name, outcome.message));
  file.direct_url.clear();  // the hub may know a better one by now
  // Without ranges there is no going on in the middle.
  if (file.single_stream) restart(file);
  count_failure(job, head,
                outcome.message.empty()
                    ? fmt::format("{}: the answer ends after {} of {} bytes", name, at - job.begin,
                                  job.end - job.begin)
                    : fmt::format("{}: the connection broke: {}", name, outcome.message));
}

void Transfer::restart(FileState& file) {
  ++file.generation;
  file.draining = true;
  std::fill(file.running.begin(), file.running.end(), false);
  if (const Status status = file.part.restart(); !status) give_up(status.error().message);
}

void Transfer::count_failure(const Job& job, const HttpHead& head, std::string message) {
  FileState& file = *job.file;
  if (job.round != file.round) return;  // broke together with another that was counted
  if (file.received >= kProgressBytes && !file.single_stream) file.failures = 0;
  file.received = 0;
  ++file.failures;
  ++file.round;
  const auto pause = backoff_.after(file.failures, head);
  if (!pause)
    return give_up(
        fmt::format("{} (after {} {}); what came is kept, and the same command goes "
                    "on from there",
                    message, file.failures, file.failures == 1 ? "try" : "tries"));
  file.not_before = Clock::now() + *pause;
}

void Transfer::give_up(std::string message) {
  if (error_.empty()) error_ = std::move(message);
  ending_ = true;
  changed_.notify_all();
}

/// Hashes what has come, publishes what is whole, and reports, until all is done.
Status Transfer::watch() {
  while (progress_.files < progress_.files_total) {
    bool worked = false;
    for (const auto& file : files_)
      if (!file->published) RIDGELINE_TRY_STATUS(hash_more(*file, worked));
    report(/*at_once=*/false);
    std::unique_lock lock(mutex_);
    if (!error_.empty()) return fail(error_);
    if (settings_.stopped())
      return fail("interrupted; what came is kept, and the same command goes on from there");
    if (!worked && progress_.files < progress_.files_total)
      changed_.wait_for(lock, kProgressPeriod);
  }
  report(/*at_once=*/true);
  return {};
}

Status Transfer::hash_more(FileState& file, bool& worked) {
  std::uint64_t there = 0;
  {
    const std::lock_guard lock(mutex_);
    if (file.hashed_generation != file.generation) {
      file.hashed_generation = file.generation;
      file.hasher = BlobHasher(file.download.file);
      file.hashed = 0;
    }
    there = file.part.there_until(file.hashed);
  }
  buffer_.resize(kHashBytes);
  const auto bytes = std::span(buffer_).first(
      static_cast<std::size_t>(std::min<std::uint64_t>(kHashBytes, there - file.hashed)));
  if (!bytes.empty()) {
    RIDGELINE_TRY_STATUS(file.part.read(file.hashed, bytes));
    file.hasher.update(bytes);
    file.hashed += bytes.size();
    worked = true;
  }
  return file.hashed == file.part.size() ? finish(file) : Status{};
}

Status Transfer::finish(FileState& file) {
  const RepoFile& f = file.download.file;
  // All of this generation is there, so that no request can write or restart it.
  const std::string hash = file.hasher.finish();
  if (hash == f.hash()) {
    RIDGELINE_TRY_STATUS(file.part.publish(file.download.path));
    const std::lock_guard lock(mutex_);
    file.published = true;
    ++progress_.files;
    return {};
  }
  if (file.was_damaged) {
    file.part.remove();
    return fail(fmt::format(
        "{}: came damaged twice: the hash of its content is {}, but the hub's list says {}", f.path,
        hash, f.hash()));
  }
  const std::lock_guard lock(mutex_);
  file.was_damaged = true;
  // Not from the address that sent it.
  file.direct_url.clear();
  restart(file);
  changed_.notify_all();
  return {};
}

void Transfer::report(bool at_once) {
  if (!report_ || (!at_once && Clock::now() - reported_ < kProgressPeriod)) return;
  reported_ = Clock::now();
  {
    const std::lock_guard lock(mutex_);
    progress_.bytes = 0;
    for (const auto& file : files_)
      progress_.bytes += file->published ? file->part.size() : file->part.bytes_there();
  }
  report_(progress_);
}

}  // namespace

Status download(std::span<const Download> downloads, const std::string& repo,
                const HubSettings& settings, const ProgressFunction& progress) {
  if (downloads.empty()) return {};
  return Transfer(repo, settings, progress).run(downloads);
}

}  // namespace ridgeline::hub
