#include "ridgeline/server/metrics/prometheus_text.h"

#include <fmt/format.h>

#include <cmath>
#include <iterator>
#include <limits>

namespace ridgeline {
namespace {

/// As Go's ParseFloat reads it back to the same bits.
std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

}  // namespace

std::string PrometheusText::label(std::string_view name, std::string_view value) {
  std::string text(name);
  text += "=\"";
  for (const char c : value) {
    if (c == '\n') {
      text += "\\n";
      continue;
    }
    if (c == '\\' || c == '"') text += '\\';
    text += c;
  }
  return text + '"';
}

void PrometheusText::family(std::string_view name, std::string_view type, std::string_view help) {
  name_ = name;
  fmt::format_to(std::back_inserter(text_), "# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

void PrometheusText::line(std::string_view suffix, std::string_view labels,
                          std::string_view value) {
  const std::string_view comma = labels_.empty() || labels.empty() ? "" : ",";
  const bool any = !labels_.empty() || !labels.empty();
  fmt::format_to(std::back_inserter(text_), "{}{}{}{}{}{}{} {}\n", name_, suffix, any ? "{" : "",
                 labels_, comma, labels, any ? "}" : "", value);
}

void PrometheusText::sample(double value, std::string_view labels) {
  line("", labels, number(value));
}
void PrometheusText::sample(std::uint64_t value, std::string_view labels) {
  line("", labels, std::to_string(value));
}
void PrometheusText::sample(std::int64_t value, std::string_view labels) {
  line("", labels, std::to_string(value));
}

void PrometheusText::samples(const Histogram& histogram) {
  std::uint64_t count = 0;
  for (std::size_t i = 0; i <= histogram.bounds().size(); ++i) {
    count += histogram.count_in(i);
    const double bound = i < histogram.bounds().size() ? histogram.bounds()[i]
                                                       : std::numeric_limits<double>::infinity();
    line("_bucket", label("le", number(bound)), std::to_string(count));
  }
  line("_sum", {}, number(histogram.sum()));
  line("_count", {}, std::to_string(count));
}

}  // namespace ridgeline
