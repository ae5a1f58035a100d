#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "ridgeline/server/metrics/histogram.h"

namespace ridgeline {

/// Writes Prometheus' text exposition format 0.0.4, family by family. (prometheus-cpp would do
/// it, too; but the engine's counters are copied from EngineStats when someone asks, which its
/// counters cannot be, and its histograms take a lock for each observation.)
class PrometheusText {
 public:
  /// A label as it is written, value escaped: finished_reason="stop".
  static std::string label(std::string_view name, std::string_view value);

  /// `labels`: of every sample, joined by commas.
  explicit PrometheusText(std::string labels) : labels_(std::move(labels)) {}

  /// The samples after it are of this family. `type`: counter, gauge or histogram; a
  /// counter's name ends in _total.
  void family(std::string_view name, std::string_view type, std::string_view help);
  void sample(double value, std::string_view labels = {});
  void sample(std::uint64_t value, std::string_view labels = {});
  void sample(std::int64_t value, std::string_view labels = {});
  void samples(const Histogram& histogram);

  /// A family of one sample.
  template <class Number>
  void counter(std::string_view name, std::string_view help, Number value) {
    family(name, "counter", help);
    sample(value);
  }
  template <class Number>
  void gauge(std::string_view name, std::string_view help, Number value) {
    family(name, "gauge", help);
    sample(value);
  }
  void histogram(std::string_view name, std::string_view help, const Histogram& histogram) {
    family(name, "histogram", help);
    samples(histogram);
  }

  std::string take() { return std::move(text_); }

 private:
  void line(std::string_view suffix, std::string_view labels, std::string_view value);

  std::string labels_;
  std::string name_;
  std::string text_;
};

}  // namespace ridgeline
