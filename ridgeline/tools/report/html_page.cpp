#include "ridgeline/tools/report/html_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "ridgeline/tools/report/html_text.h"
#include "ridgeline/tools/report/page_style.h"
#include "ridgeline/tools/report/svg_plot.h"

namespace ridgeline::report {
namespace {

class Page {
 public:
  Page(const std::vector<Section>& sections, const std::vector<std::string>& problems)
      : sections_(sections), problems_(problems) {}

  std::string draw() {
    put_head();
    const bool is_one_machine = std::ranges::all_of(
        sections_, [&](const Section& s) { return s.machine == sections_.front().machine; });
    if (is_one_machine && !sections_.empty()) put_machine(sections_.front());
    for (const Section& section : sections_) put_section(section, !is_one_machine);
    put("<footer>Tables lie beside this page as CSV, everything as JSON.</footer>\n</body>\n"
        "</html>\n");
    return std::move(out_);
  }

 private:
  template <class... Args>
  void put(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
  }

  void put_head() {
    // The policy lets nothing run or load, whatever a name in a file may say.
    put("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<meta name=\"generator\" content=\"ridgeline report\">\n"
        "<meta name=\"color-scheme\" content=\"light dark\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
        "'unsafe-inline'\">\n<title>{}</title>\n<style>{}{}</style>\n</head>\n<body>\n<header>"
        "<h1>{}</h1>\n",
        "Ridgeline on this machine", kPlotStyle, kPageStyle, "Ridgeline on this machine");
    if (sections_.size() > 1) {
      put("<nav aria-label=\"Sections\">");
      for (const Section& s : sections_)
        put("<a href=\"#{}\">{}</a>\n", escape_html(s.name), escape_html(s.title));
      put("</nav>\n");
    }
    put("</header>\n");
    for (const std::string& problem : problems_)
      put("<p class=\"problem\" role=\"note\">{}</p>\n", escape_html(problem));
  }

  void put_detail(const std::string& name, const std::string& value) {
    if (!value.empty()) put("<dt>{}</dt><dd>{}</dd>\n", escape_html(name), escape_html(value));
  }

  void put_machine(const Section& section) {
    if (section.machine.empty()) return;
    put("<dl class=\"machine\">\n");
    for (const Fact& f : section.machine)
      put_detail(f.name, f.note.empty() ? f.value : f.value + " (" + f.note + ")");
    put("</dl>\n");
  }

  void put_section(const Section& s, bool with_machine) {
    section_ = &s;
    plots_ = 0;
    put("<section class=\"part\" id=\"{}\">\n<h2>{}</h2>\n<p class=\"muted\">{}{}</p>\n",
        escape_html(s.name), escape_html(s.title), escape_html(s.date),
        s.version.empty() ? "" : ", Ridgeline " + escape_html(s.version));
    if (!s.command_line.empty()) put("<pre>{}</pre>\n", escape_html(s.command_line));
    if (with_machine) put_machine(s);
    if (!s.figures.empty()) {
      // As many in a row as leave few alone in the last.
      const bool in_fours = s.figures.size() % 4 == 0 || s.figures.size() == 7;
      put("<div class=\"cards{}\">\n", in_fours ? " four" : "");
      for (const Fact& f : s.figures)
        put("<div class=\"card\"><small>{}</small><b>{}</b><small>{}</small></div>\n",
            escape_html(f.name), escape_html(f.value), escape_html(f.note));
      put("</div>\n");
    }
    for (const Block& block : s.blocks) std::visit([this](const auto& b) { put_block(b); }, block);
    put("</section>\n");
  }

  void put_title(const std::string& title) {
    if (!title.empty()) put("<h3>{}</h3>\n", escape_html(title));
  }

  void put_block(const Paragraph& p) {
    put("<div class=\"piece\">\n");
    put_title(p.title);
    if (!p.text.empty()) put("<p>{}</p>\n", escape_html(p.text));
    if (!p.command.empty()) put("<pre>{}</pre>\n", escape_html(p.command));
    put("</div>\n");
  }

  void put_block(const Plot& plot) {
    const std::string id = fmt::format("{}-plot{}", section_->name, ++plots_);
    put("<div class=\"piece\">\n");
    put_title(plot.title);
    if (!plot.description.empty())
      put("<p class=\"muted\">{}</p>\n", escape_html(plot.description));
    put("<div class=\"plots\">{}{}</div></div>\n", svg_plot(plot, kWidePlot, id + "w").svg,
        svg_plot(plot, kNarrowPlot, id + "n").svg);
  }

  void put_block(const Table& table) {
    put_title(table.title);
    // What scrolls can be reached by keyboard.
    put("<div class=\"wide-table\" tabindex=\"0\" role=\"region\" aria-label=\"{}\"><table "
        "class=\"lines\">\n<thead><tr>",
        escape_html(table.title.empty() ? table.name : table.title));
    std::vector<double> most(table.columns.size());
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
      const Column& c = table.columns[i];
      put("<th scope=\"col\"{}>{}{}{}</th>", c.left ? " class=\"left\"" : "", escape_html(c.name),
          c.unit.empty() ? "" : ", ", escape_html(c.unit));
      for (const std::vector<Cell>& row : table.rows)
        if (row[i].number && std::isfinite(*row[i].number))
          most[i] = std::max(most[i], *row[i].number);
    }
    put("</tr></thead>\n<tbody>\n");
    for (const std::vector<Cell>& row : table.rows) {
      put("<tr>");
      for (std::size_t i = 0; i < row.size(); ++i) put_cell(row[i], table.columns[i], most[i]);
      put("</tr>\n");
    }
    put("</tbody></table></div>\n");
    for (const std::string& note : table.notes)
      put("<p class=\"muted\">{}</p>\n", escape_html(note));
  }

  void put_cell(const Cell& cell, const Column& column, double most) {
    constexpr std::size_t kLongText = 48;  // characters that one line should not hold
    std::string classes, style;
    const auto add = [&classes](const char* name) {
      classes += classes.empty() ? name : std::string(" ") + name;
    };
    if (column.left) add("left");
    if (!cell.number && characters(cell.text) > kLongText) add("wrap");
    if (cell.tone == Tone::kGood) add("good");
    if (cell.tone == Tone::kAdvice) add("advice");
    if (cell.tone == Tone::kWarning) add("warning");
    if (column.bars && cell.number && most > 0) {
      add("bar");
      style =
          fmt::format(" style=\"--v:{:.0f}%\"", 100 * std::clamp(*cell.number / most, 0.0, 1.0));
    }
    put("<td{}{}>{}</td>", classes.empty() ? "" : " class=\"" + classes + "\"", style,
        escape_html(shown(cell, column)));
  }

  const std::vector<Section>& sections_;
  const std::vector<std::string>& problems_;
  const Section* section_ = nullptr;
  int plots_ = 0;
  std::string out_;
};

}  // namespace

std::string to_html(const std::vector<Section>& sections,
                    const std::vector<std::string>& problems) {
  return Page(sections, problems).draw();
}

}  // namespace ridgeline::report
