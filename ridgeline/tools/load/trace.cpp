#include "ridgeline/tools/load/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "ridgeline/tools/load/text_file.h"

namespace ridgeline::load {
namespace {

constexpr std::int64_t kTokensMax = std::int64_t{1} << 24;

template <class T>
std::optional<T> number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::vector<std::string_view> cells_of(std::string_view line) {
  std::vector<std::string_view> cells;
  while (true) {
    const std::size_t comma = line.find(',');
    cells.push_back(line.substr(0, comma));
    if (comma == line.npos) return cells;
    line.remove_prefix(comma + 1);
  }
}

/// Seconds of "2023-11-16 18:17:03.9799600"; what follows the fraction, a zone, is the same
/// on all lines.
std::optional<double> seconds_of(std::string_view text) {
  if (text.size() < 19 || text[4] != '-' || text[7] != '-' || text[13] != ':' || text[16] != ':')
    return std::nullopt;
  const auto year = number<int>(text.substr(0, 4));
  const auto month = number<unsigned>(text.substr(5, 2)), day = number<unsigned>(text.substr(8, 2));
  const auto hour = number<int>(text.substr(11, 2)), minute = number<int>(text.substr(14, 2));
  std::string_view seconds = text.substr(17);
  seconds = seconds.substr(0, seconds.find_first_not_of("0123456789."));
  const auto second = number<double>(seconds);
  if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(*month),
                                         std::chrono::day(*day)};
  if (!date.ok()) return std::nullopt;
  const auto days = std::chrono::sys_days(date).time_since_epoch().count();
  return static_cast<double>(days) * 86400 + *hour * 3600 + *minute * 60 + *second;
}

bool is_length(std::int64_t tokens) { return tokens >= 0 && tokens <= kTokensMax; }

class AzureLines {
 public:
  Status header(std::string_view line) {
    columns_ = cells_of(line);
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      if (columns_[i] == "TIMESTAMP") time_ = i;
      if (columns_[i] == "ContextTokens") prompt_ = i;
      if (columns_[i] == "GeneratedTokens") output_ = i;
    }
    if (time_ && prompt_ && output_) return {};
    return fail(
        "line 1: expected the columns TIMESTAMP, ContextTokens and GeneratedTokens, or an object "
        "of JSON on every line");
  }
  Result<TraceRequest> parse(std::string_view line) const {
    const std::vector<std::string_view> cells = cells_of(line);
    if (cells.size() != columns_.size())
      return fail(fmt::format("{} cells, expected {}", cells.size(), columns_.size()));
    TraceRequest request;
    const auto time = seconds_of(cells[*time_]);
    if (!time)
      return fail(fmt::format("TIMESTAMP '{}', expected 2023-11-16 18:17:03.979", cells[*time_]));
    request.arrival_s = *time;
    for (const auto& [column, tokens] : {std::pair{*prompt_, &request.prompt_tokens},
                                         std::pair{*output_, &request.output_tokens}}) {
      const auto n = number<std::int64_t>(cells[column]);
      if (!n || !is_length(*n))
        return fail(
            fmt::format("{} '{}', expected 0 to {}", columns_[column], cells[column], kTokensMax));
      *tokens = *n;
    }
    return request;
  }

 private:
  std::vector<std::string_view> columns_;
  std::optional<std::size_t> time_, prompt_, output_;
};

Result<TraceRequest> parse_mooncake(std::string_view line) {
  const auto j = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!j.is_object()) return fail("expected an object of JSON");
  const auto field = [&](const char* name) -> Result<std::int64_t> {
    const auto found = j.find(name);
    if (found == j.end() || !found->is_number_integer() || !is_length(found->get<std::int64_t>()))
      return fail(fmt::format("{} {}, expected an integer from 0 to {}", name,
                              found == j.end() ? "is missing" : found->dump(), kTokensMax));
    return found->get<std::int64_t>();
  };
  TraceRequest request;
  const auto time = j.find("timestamp");
  if (time == j.end() || !time->is_number())
    return fail("timestamp: expected a number of milliseconds");
  request.arrival_s = time->get<double>() * 1e-3;
  RIDGELINE_TRY(request.prompt_tokens, field("input_length"));
  RIDGELINE_TRY(request.output_tokens, field("output_length"));
  if (const auto blocks = j.find("hash_ids"); blocks != j.end()) {
    if (!blocks->is_array()) return fail("hash_ids: expected an array of integers");
    for (const auto& id : *blocks) {
      if (!id.is_number_integer()) return fail("hash_ids: expected an array of integers");
      request.blocks.push_back(id.get<std::int64_t>());
    }
    const std::int64_t needed = (request.prompt_tokens + kTraceBlockTokens - 1) / kTraceBlockTokens;
    if (static_cast<std::int64_t>(request.blocks.size()) < needed)
      return fail(fmt::format("{} hash_ids, expected {} for {} tokens in blocks of {}",
                              request.blocks.size(), needed, request.prompt_tokens,
                              kTraceBlockTokens));
  }
  return request;
}

}  // namespace

Result<std::vector<TraceRequest>> parse_trace(std::string_view text, std::size_t limit) {
  const bool is_json = text.starts_with('{');
  AzureLines azure;
  std::vector<TraceRequest> trace;
  for (std::size_t line_number = 1; !text.empty() && trace.size() < limit; ++line_number) {
    const std::string_view line = next_line(text);
    if (line.empty()) continue;
    if (!is_json && line_number == 1) {
      RIDGELINE_TRY_STATUS(azure.header(line));
      continue;
    }
    Result<TraceRequest> request = is_json ? parse_mooncake(line) : azure.parse(line);
    if (!request) return fail(fmt::format("line {}: {}", line_number, request.error().message));
    trace.push_back(*std::move(request));
  }
  if (trace.empty()) return fail("no request, expected one on each line");
  std::ranges::stable_sort(trace, {}, &TraceRequest::arrival_s);
  const double first = trace.front().arrival_s;
  for (TraceRequest& request : trace) request.arrival_s -= first;
  return trace;
}

Result<std::vector<TraceRequest>> read_trace(const std::string& path, std::size_t limit) {
  RIDGELINE_TRY(const std::string text, read_text_file(path));
  auto trace = parse_trace(text, limit);
  if (!trace) return fail(fmt::format("{}: {}", path, trace.error().message));
  return trace;
}

}  // namespace ridgeline::load
