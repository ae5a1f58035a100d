// The report as a page.

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <map>

#include "ridgeline/tools/ptq/quantize_report.h"
#include "ridgeline/tools/report/html_text.h"
#include "ridgeline/tools/report/page_style.h"
#include "ridgeline/tools/report/svg_canvas.h"
#include "ridgeline/tools/report/svg_plot.h"

namespace ridgeline::ptq {
namespace {

using report::escape_html;
using report::kPlotColours;

/// "blk.7.ffn_down.weight" is of layer 7 and of the kind "ffn_down".
struct TensorPlace {
  int layer = -1;
  std::string_view kind;
};

TensorPlace place_of(std::string_view name) {
  constexpr std::string_view kLayer = "blk.", kWeight = ".weight";
  constexpr int kLayersMax = 100'000;  // beyond it the name means something else
  TensorPlace place;
  if (name.starts_with(kLayer)) {
    int layer = 0;
    const char* end = name.data() + name.size();
    const auto [at, error] = std::from_chars(name.data() + kLayer.size(), end, layer);
    if (error == std::errc{} && at != end && *at == '.' && layer >= 0 && layer < kLayersMax) {
      place.layer = layer;
      name.remove_prefix(static_cast<std::size_t>(at - name.data()) + 1);
    }
  }
  if (name.ends_with(kWeight)) name.remove_suffix(kWeight.size());
  place.kind = name;
  return place;
}

std::string byte_text(std::size_t bytes) {
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  constexpr const char* kUnits[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  for (; value >= 1024 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  if (unit == 0) return fmt::format("{} bytes", bytes);
  return fmt::format("{:.{}f} {}", value, value < 10 ? 2 : value < 100 ? 1 : 0, kUnits[unit]);
}

std::string duration_text(double seconds) {
  if (seconds < 10) return fmt::format("{:.2f} s", seconds);
  if (seconds < 120) return fmt::format("{:.0f} s", seconds);
  const auto minutes = static_cast<int>(seconds / 60);
  if (minutes < 120) return fmt::format("{} min {:.0f} s", minutes, seconds - 60.0 * minutes);
  return fmt::format("{} h {} min", minutes / 60, minutes % 60);
}

std::string file_name(std::string_view path) {
  const std::size_t slash = path.find_last_of('/');
  return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

/// Decimals that show three digits of the value.
int decimals_of(double value) {
  if (!(value > 0)) return 1;
  return std::clamp(2 - static_cast<int>(std::floor(std::log10(value))), 0, 9);
}

/// 0.00599, 12.3.
std::string figure(double value) { return fmt::format("{:.{}f}", value, decimals_of(value)); }

std::string percent_text(double percent) {
  return percent > 0 && percent < 0.1 ? "under 0.1 %" : fmt::format("{:.1f} %", percent);
}

std::string decibels(const TensorQuality& quality) {
  return quality.noise == 0 ? "exact" : fmt::format("{:.2f}", quality.sqnr_db());
}

class Page {
 public:
  explicit Page(const QuantizeReport& report) : report_(report) {}

  std::string draw() {
    put_head();
    put_cards();
    put_meaning();
    put_layers();
    put_types();
    put_details();
    put_tensors();
    put("<footer>SQNR is 10 log<sub>10</sub>(Σ w² / Σ (w − ŵ)²) of the weights w and what the new "
        "file makes of them, ŵ.</footer>\n</body>\n</html>\n");
    return std::move(out_);
  }

 private:
  template <class... Args>
  void put(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
  }
  void put_card(const char* title, const std::string& value, const std::string& note) {
    put("<div class=\"card\"><small>{}</small><b>{}</b><small>{}</small></div>\n", title, value,
        note);
  }
  void put_detail(std::string_view name, std::string_view value) {
    if (!value.empty()) put("<dt>{}</dt><dd>{}</dd>\n", escape_html(name), escape_html(value));
  }

  void put_head();
  void put_cards();
  void put_meaning();
  void put_layers();
  void put_types();
  void put_details();
  void put_tensors();
  void put_tensor(const TensorReport& tensor, bool starts_layer, double sqnr_max);

  const QuantizeReport& report_;
  std::string out_;
};

void Page::put_head() {
  const std::string name = escape_html(file_name(report_.target));
  // The policy lets nothing run or load, whatever a name in a file may say.
  put("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'\">\n<title>{}: what quantization "
      "cost</title>\n<style>{}{}</style>\n</head>\n"
      "<body>\n<header><h1>{}</h1>\n<p class=\"muted\">{} from {}, method: {}</p></header>\n",
      name, report::kPlotStyle, report::kPageStyle, name, escape_html(report_.type),
      escape_html(file_name(report_.source)), escape_html(report_.method));
}

void Page::put_cards() {
  put("<div class=\"cards\">\n");
  put_card("size", byte_text(report_.target_bytes),
           fmt::format("{:.1f} % of {}",
                       100 * static_cast<double>(report_.target_bytes) /
                           std::max(1.0, static_cast<double>(report_.source_bytes)),
                       byte_text(report_.source_bytes)));
  const TensorQuality total = report_.total();
  put_card("bits per weight", fmt::format("{:.2f}", report_.bits_per_weight),
           total.elements == 0 ? "no tensor changed" : "SQNR " + decibels(total) + " dB");
  if (report_.before && report_.after) {
    const DivergenceResult d = report_.divergence.value_or(DivergenceResult{});
    const double change = report_.divergence
                              ? std::expm1(d.log_perplexity_ratio)
                              : report_.after->perplexity / report_.before->perplexity - 1;
    put_card("perplexity",
             fmt::format("{:.4g} → {:.4g}", report_.before->perplexity, report_.after->perplexity),
             report_.divergence ? fmt::format("{:+.2f} ± {:.2f} %", 100 * change,
                                              100 * (1 + change) * d.log_perplexity_ratio_stderr)
                                : fmt::format("{:+.2f} %", 100 * change));
  }
  if (report_.divergence) {
    const DivergenceResult& d = *report_.divergence;
    put_card("KL divergence, mean", figure(d.kl_mean),
             fmt::format("± {:.{}f} nats", d.kl_stderr, decimals_of(d.kl_mean)));
    put_card("KL divergence, 99 %", figure(d.kl_p99),
             fmt::format("median {}, max {}", figure(d.kl_median), figure(d.kl_max)));
    put_card("same top token", fmt::format("{:.1f} %", 100 * d.top1),
             fmt::format("± {:.2f} % of {} positions", 100 * d.top1_stderr, d.positions));
  }
  put("</div>\n");
}

void Page::put_meaning() {
  if (report_.divergence)
    put("<p>KL divergence is how far the new file's probabilities of the next token are from the "
        "original's, in nats and averaged over a text: 0 if they are the same, and more the worse "
        "the new file stands in for the original. Perplexity can fall by chance, KL divergence "
        "cannot.</p>\n");
  else
    put("<p>No text was given to compare the new file with the original on; <code>ridgeline eval "
        "-m "
        "NEW --base ORIGINAL --text FILE</code> does it.</p>\n");
}

void Page::put_layers() {
  report::Plot plot;
  plot.title = "SQNR by layer";
  plot.x = {.title = "layer", .whole = true};
  plot.y = {.title = "SQNR", .unit = "dB"};
  std::map<std::string_view, std::size_t> index;
  const TensorReport* worst = nullptr;
  for (const TensorReport& t : report_.tensors) {
    const TensorPlace place = place_of(t.name);
    const double sqnr = t.quality.sqnr_db();
    if (!std::isfinite(sqnr)) continue;
    if (worst == nullptr || sqnr < worst->quality.sqnr_db()) worst = &t;
    if (place.layer < 0) continue;
    const auto [at, is_new] = index.try_emplace(place.kind, plot.series.size());
    if (is_new) plot.series.push_back({.title = std::string(place.kind)});
    plot.series[at->second].points.push_back({.x = static_cast<double>(place.layer), .y = sqnr});
  }
  if (plot.series.empty()) return;
  for (report::Series& series : plot.series)
    std::ranges::stable_sort(series.points, {}, &report::Point::x);  // files may go 1, 10, 11, 2
  // From five below: what is left out underneath is the same for all.
  plot.y.low = 5 * std::floor((worst->quality.sqnr_db() - 1) / 5);
  put("<section><h2>SQNR by layer, in dB</h2>\n<div class=\"plots\">{}{}</div>\n",
      svg_plot(plot, {.name = "wide", .width = 920, .height = 340}, "layersw").svg,
      svg_plot(plot, {.name = "narrow", .width = 362, .height = 320}, "layersn").svg);
  put("<p class=\"muted\">More is better; 6 dB are one bit. Least: <code>{}</code> as {}, {:.2f} "
      "dB.</p></section>\n",
      escape_html(worst->name), name(worst->to), worst->quality.sqnr_db());
}

void Page::put_types() {
  std::map<DType, std::size_t> totals;
  std::size_t all = 0;
  for (const TensorReport& t : report_.tensors) {
    totals[t.to] += t.bytes;
    all += t.bytes;
  }
  if (all == 0) return;
  std::vector<std::pair<DType, std::size_t>> types(totals.begin(), totals.end());
  std::ranges::stable_sort(types, std::greater{}, &std::pair<DType, std::size_t>::second);
  const auto share = [all](std::size_t bytes) {
    return 100 * static_cast<double>(bytes) / static_cast<double>(all);
  };
  put("<section><h2>Bytes by type</h2>\n<svg class=\"stack\" viewBox=\"0 0 100 10\" "
      "preserveAspectRatio=\"none\" role=\"img\" aria-label=\"bytes by type\">");
  double left = 0;
  for (std::size_t i = 0; i < types.size(); ++i) {
    put("<rect class=\"c{}\" x=\"{:.3f}\" width=\"{:.3f}\" height=\"10\"><title>{}</title></rect>",
        i % kPlotColours, left, share(types[i].second), name(types[i].first));
    left += share(types[i].second);
  }
  put("</svg>\n<ul class=\"legend\">");
  for (std::size_t i = 0; i < types.size(); ++i)
    put("<li><svg viewBox=\"0 0 12 12\" width=\"12\" height=\"12\" aria-hidden=\"true\"><rect "
        "class=\"c{}\" width=\"12\" height=\"12\" rx=\"2\"/></svg>{} <span class=\"muted\">{}, "
        "{}</span></li>\n",
        i % kPlotColours, name(types[i].first), byte_text(types[i].second),
        percent_text(share(types[i].second)));
  put("</ul></section>\n");
}

void Page::put_details() {
  put("<section><h2>What was done</h2>\n<dl>\n");
  put_detail("original", report_.source);
  put_detail("new file", report_.target);
  put_detail("type", report_.type);
  put_detail("method", report_.method);
  put_detail("calibration", report_.calibration);
  for (const auto& [key, value] : report_.settings) put_detail(key, value);
  if (report_.after) {
    put_detail("compared on", report_.eval_text);
    put_detail("compared over",
               fmt::format("{} tokens in {} windows of {}", report_.after->predicted_tokens,
                           report_.after->windows, report_.eval_context));
  }
  put_detail("program", fmt::format("ridgeline {} ({})", report_.version, report_.isa));
  put_detail("time taken", duration_text(report_.seconds));
  put_detail("date", report_.date);
  put("</dl></section>\n");
}

void Page::put_tensors() {
  double sqnr_max = 1;
  for (const TensorReport& t : report_.tensors)
    if (const double sqnr = t.quality.sqnr_db(); std::isfinite(sqnr))
      sqnr_max = std::max(sqnr_max, sqnr);
  put("<section><h2>Tensors</h2>\n<div class=\"wide-table\"><table class=\"names\">\n<thead><tr>"
      "<th class=\"left\">tensor</th><th class=\"left\">type</th><th>SQNR, dB</th>"
      "<th>max. error</th><th>bits</th><th>size</th><th>shape</th><th>s</th></tr></thead>\n"
      "<tbody>\n");
  int layer = -1;
  for (const TensorReport& t : report_.tensors) {
    const int this_layer = place_of(t.name).layer;
    put_tensor(t, this_layer != layer, sqnr_max);
    layer = this_layer;
  }
  put("</tbody></table></div></section>\n");
}

void Page::put_tensor(const TensorReport& t, bool starts_layer, double sqnr_max) {
  const bool is_copy = t.quality.elements == 0;
  put("<tr{}><td class=\"left\">{}</td><td class=\"left\">{}</td>",
      starts_layer ? " class=\"first\"" : "", escape_html(t.name),
      is_copy ? std::string(name(t.to)) : fmt::format("{} → {}", name(t.from), name(t.to)));
  if (is_copy) {
    put("<td class=\"muted\">copied</td><td></td>");
  } else {
    const double sqnr = t.quality.sqnr_db();
    const double bar = std::isfinite(sqnr) ? std::clamp(sqnr / sqnr_max, 0.0, 1.0) : 0.0;
    put("<td class=\"bar\" style=\"--v:{:.0f}%\">{}</td><td>{:.2g}</td>", 100 * bar,
        decibels(t.quality), t.quality.max_error);
  }
  put("<td>{:.2f}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
      8 * static_cast<double>(t.bytes) /
          static_cast<double>(std::max<std::int64_t>(t.elements(), 1)),
      byte_text(t.bytes), fmt::join(t.shape, " × "),
      is_copy ? "" : fmt::format("{:.2f}", t.seconds));
}

}  // namespace

std::string to_html(const QuantizeReport& report) { return Page(report).draw(); }

}  // namespace ridgeline::ptq
