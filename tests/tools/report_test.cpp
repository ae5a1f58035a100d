#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "ridgeline/tools/bench_roofline.h"
#include "ridgeline/tools/report/folder.h"
#include "ridgeline/tools/report/html_page.h"
#include "ridgeline/tools/report/html_text.h"
#include "ridgeline/tools/report/label_placer.h"
#include "ridgeline/tools/report/plot_scale.h"
#include "ridgeline/tools/report/svg_plot.h"
#include "ridgeline/tools/report/text_plot.h"
#include "tests/support/random_model.h"

namespace ridgeline::report {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

int count(const std::string& text, const std::string& part) {
  int n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

/// Reads elements, attributes and entities as XML wants them; HTML's void elements are none.
class XmlReader {
 public:
  explicit XmlReader(const std::string& text) : text_(text) {}

  /// "" or what is wrong.
  std::string check() {
    while (at_ < text_.size()) {
      const std::string problem = text_[at_] == '<' ? tag() : character();
      if (!problem.empty()) return problem + " at " + text_.substr(at_ > 30 ? at_ - 30 : 0, 60);
    }
    return open_.empty() ? "" : "left open: " + open_.back();
  }

 private:
  std::string character() {
    const auto c = static_cast<unsigned char>(text_[at_]);
    if (c == '&') return entity();
    if (c < 0x20 && c != '\n') return "a control character";
    ++at_;
    return "";
  }
  std::string entity() {
    for (const std::string name : {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"})
      if (text_.compare(at_, name.size(), name) == 0) {
        at_ += name.size();
        return "";
      }
    return "a lone ampersand";
  }
  std::string name() {
    const std::size_t begin = at_;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) ||
                                  text_[at_] == '-' || text_[at_] == ':'))
      ++at_;
    return text_.substr(begin, at_ - begin);
  }
  void space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  std::string tag() {
    if (text_.compare(at_, 9, "<!DOCTYPE") == 0) {
      at_ = text_.find('>', at_) + 1;
      return "";
    }
    ++at_;
    if (text_[at_] == '/') {
      ++at_;
      const std::string closed = name();
      if (open_.empty() || open_.back() != closed || text_[at_] != '>') return "closed: " + closed;
      open_.pop_back();
      ++at_;
      return "";
    }
    const std::string element = name();
    if (element.empty()) return "a lone <";
    for (space(); text_[at_] != '>' && text_[at_] != '/'; space()) {
      if (name().empty() || text_[at_] != '=' || text_[at_ + 1] != '"') return "an attribute";
      for (at_ += 2; text_[at_] != '"';) {
        if (at_ + 1 >= text_.size() || text_[at_] == '<') return "an attribute's value";
        if (const std::string problem = character(); !problem.empty()) return problem;
      }
      ++at_;
    }
    if (text_[at_] == '/')
      ++at_;
    else if (element != "meta")
      open_.push_back(element);
    if (text_[at_] != '>') return "an end of tag";
    ++at_;
    if (element == "style") at_ = text_.find("</style>", at_);  // raw text
    return "";
  }

  const std::string& text_;
  std::size_t at_ = 0;
  std::vector<std::string> open_;
};

std::string problem_of(const std::string& markup) { return XmlReader(markup).check(); }

TEST(ReportTestReader, FindsWhatIsWrong) {
  EXPECT_EQ(problem_of("<a b=\"c\"><d/>&amp;</a>"), "");
  for (const char* bad : {"<a>", "<a></b>", "<a b=c></a>", "<a>&</a>", "<a b=\"<\"></a>", "</a>"})
    EXPECT_NE(problem_of(bad), "") << bad;
}

class Folder {
 public:
  Folder() : path_(test::temporary_path("report")) {}
  ~Folder() {
    std::error_code error;
    fs::permissions(path_, fs::perms::owner_all, error);
    fs::remove_all(path_, error);
  }
  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  std::string read(const std::string& name) const {
    std::ifstream in(file(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories(path_);
    std::ofstream(file(name), std::ios::binary) << text;
  }
  bool has(const std::string& name) const { return fs::exists(file(name)); }

 private:
  std::string path_;
};

Table speeds() {
  return {.name = "speed",
          .title = "Speed",
          .columns = {{.name = "what", .left = true},
                      {.name = "rate", .unit = "tokens/s", .bars = true},
                      {.name = "share", .unit = "%", .decimals = 1}},
          .rows = {{"baseline, \"slow\"", {0.4321, "0.432*"}, {}},
                   {{"all of it", Tone::kGood}, 41.239, 99.25}},
          .notes = {"* extrapolated"}};
}

Plot lines() {
  return {.title = "Decoding",
          .description = "time against context",
          .x = {.title = "context", .unit = "tokens", .kind = Axis::Kind::kLog2},
          .y = {.title = "time", .unit = "ms", .kind = Axis::Kind::kLog},
          .series = {{.title = "with a cache", .points = {{128, 2.5}, {256, 2.6}, {1024, 3.1}}},
                     {.title = "without",
                      .points = {{128, 210}, {256, 430}, {1024, 2100, "the longest"}}},
                     {.title = "a second",
                      .style = Series::Style::kRoof,
                      .points = {{128, 1000}, {1024, 1000}}}},
          .annotations = {{256, 50, "a gap"}}};
}

Plot bars() {
  return {.title = "Memory",
          .description = "by row",
          .y = {.title = "memory", .unit = "MB"},
          .series = {{.title = "weights",
                      .style = Series::Style::kBars,
                      .points = {{0, 2200, "baseline"}, {0, 640, "INT4"}}},
                     {.title = "KV",
                      .style = Series::Style::kBars,
                      .points = {{0, 0, "baseline"}, {0, 128, "INT4"}}}},
          .stacked = true};
}

Section section(const std::string& name) {
  Section s;
  s.name = name;
  s.title = "About " + name;
  s.version = "0.8.0";
  s.command_line = "ridgeline bench " + name + " -m a.gguf";
  s.date = "2026-11-23 04:05 UTC";
  s.machine = {{"processor", "AMD EPYC", ""}, {"memory", "15.6 GiB", "of a container"}};
  s.figures = {{"tokens/s", "41.2", "one stream"}};
  s.blocks = {Paragraph{"Chat", "Short answers.", "ridgeline run -m a.gguf"}, speeds(), lines(),
              bars()};
  return s;
}

Section from_json(const std::string& text) {
  const Result<Section> s = section_from_json(text);
  EXPECT_TRUE(s) << s.error().message;
  return s.value_or(Section{});
}

// ---- text ----

TEST(ReportText, Escapes) {
  EXPECT_EQ(escape_html("a<b>&\"'\x01\xff\xEF\xBF\xBE é"),
            "a&lt;b&gt;&amp;&quot;&#39;\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD é");
  EXPECT_EQ(characters("é–x"), 3u);
}

TEST(ReportText, Figures) {
  EXPECT_EQ(figure_text(0.001234), "0.00123");
  EXPECT_EQ(figure_text(12.34), "12.3");
  EXPECT_EQ(figure_text(9.996), "10.0");
  EXPECT_EQ(figure_text(4567), "4570");
  EXPECT_EQ(figure_text(-0.5), "-0.500");
  EXPECT_EQ(figure_text(0), "0");
  EXPECT_EQ(figure_text(std::nan("")), "–");
  EXPECT_EQ(shown(Cell{}, {}), "–");
  EXPECT_EQ(shown(Cell(3.14159), {.decimals = 1}), "3.1");
  EXPECT_EQ(shown(Cell(3.14159, "3.1*"), {}), "3.1*");
}

TEST(ReportText, Csv) {
  EXPECT_EQ(to_csv(speeds()),
            "what,rate (tokens/s),share (%)\n"
            "\"baseline, \"\"slow\"\"\",0.4321,\n"
            "all of it,41.239,99.25\n");
}

// ---- data ----

TEST(ReportSection, JsonAndBack) {
  Section s = section("ablation");
  s.data = R"({"rows":[1,2]})";
  s.title = "ü <b> \"x\"\n";
  const Result<std::string> text = to_json(s);
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_EQ(json::parse(*text)["data"]["rows"][1], 2);
  EXPECT_TRUE(from_json(*text) == s);
}

TEST(ReportSection, WhatIsNotFiniteIsNull) {
  Section s = section("a");
  s.blocks = {Plot{.series = {{.points = {{1, std::nan("")}}}}},
              Table{.name = "t", .columns = {{}}, .rows = {{std::nan("")}}}};
  const json j = json::parse(*to_json(s));
  EXPECT_TRUE(j["blocks"][0]["series"][0]["points"][0]["y"].is_null());
  EXPECT_TRUE(j["blocks"][1]["rows"][0][0].is_null());
  const Section back = from_json(j.dump());
  EXPECT_TRUE(std::isnan(std::get<Plot>(back.blocks[0]).series[0].points[0].y));
}

TEST(ReportSection, RefusesWhatItCannotWrite) {
  const auto error_of = [](const Section& s) {
    const Result<std::string> text = to_json(s);
    return text ? std::string() : text.error().message;
  };
  EXPECT_THAT(error_of(section("../up")), HasSubstr("expected a name of a-z"));
  EXPECT_THAT(error_of(section("")), HasSubstr("expected a name"));
  Section s = section("a");
  s.blocks = {speeds(), speeds()};
  EXPECT_THAT(error_of(s), HasSubstr("no other table"));
  Table short_row = speeds();
  short_row.rows[0].pop_back();
  s.blocks = {short_row};
  EXPECT_THAT(error_of(s), HasSubstr("a row has 2 cells, expected 3"));
  s = section("a");
  s.data = "{";
  EXPECT_THAT(error_of(s), HasSubstr("no JSON"));
}

TEST(ReportSection, DamagedOnesAreNamed) {
  const json good = json::parse(*to_json(section("a")));
  const auto error_of = [](const json& j) {
    const Result<Section> s = section_from_json(j.dump());
    return s ? std::string() : s.error().message;
  };
  EXPECT_EQ(error_of(good), "");
  json bad = good;
  bad["schema"] = 7;
  EXPECT_THAT(error_of(bad), HasSubstr("schema 7, expected 1"));
  bad = good;
  bad["format"] = "something";
  EXPECT_THAT(error_of(bad), HasSubstr("ridgeline report section"));
  EXPECT_NE(error_of(json::array()), "");
  // Without any one key, or with another type in its place, it is no section; nothing throws.
  for (const auto& [key, value] : good.items()) {
    bad = good;
    bad.erase(key);
    EXPECT_NE(error_of(bad), "") << key;
    bad[key] = 3.5;
    EXPECT_NE(error_of(bad), "") << key;
  }
  for (std::size_t i = 0; i < good["blocks"].size(); ++i)
    for (const auto& [key, value] : good["blocks"][i].items()) {
      bad = good;
      bad["blocks"][i][key] = 3.5;
      EXPECT_NE(error_of(bad), "") << i << key;
    }
  const std::string text = good.dump();
  for (std::size_t n = 0; n < text.size(); n += 97)
    EXPECT_FALSE(section_from_json(text.substr(0, n)));
}

// ---- axes ----

std::vector<std::string> tick_texts(const PlotScale& scale) {
  std::vector<std::string> texts;
  for (const Tick& t : scale.ticks())
    if (!t.text.empty()) texts.push_back(t.text);
  return texts;
}

TEST(ReportScale, Steps) {
  EXPECT_DOUBLE_EQ(tick_step(10, 5), 2);
  EXPECT_DOUBLE_EQ(tick_step(0.3, 3), 0.1);
  EXPECT_DOUBLE_EQ(tick_step(700, 4), 200);
  EXPECT_DOUBLE_EQ(tick_step(7, 1), 10);
  EXPECT_DOUBLE_EQ(tick_step(0, 5), 1);
  EXPECT_EQ(tick_text(20'000), "20k");
  EXPECT_EQ(tick_text(3'000'000), "3M");
  EXPECT_EQ(tick_text(4000), "4000");
}

TEST(ReportScale, Linear) {
  const PlotScale scale({}, {3, 9.2}, 5);
  EXPECT_THAT(tick_texts(scale), ElementsAre("0", "2", "4", "6", "8", "10"));
  EXPECT_DOUBLE_EQ(scale.position(5), 0.5);
  EXPECT_THAT(tick_texts(PlotScale({}, {-0.3, 0.3}, 4)),
              ElementsAre("-0.4", "-0.2", "0", "0.2", "0.4"));
  EXPECT_THAT(tick_texts(PlotScale({.low = 15.0}, {19, 34}, 4)),
              ElementsAre("15", "20", "25", "30", "35"));
  EXPECT_THAT(tick_texts(PlotScale({.whole = true}, {0, 2}, 9)), ElementsAre("0", "1", "2"));
}

TEST(ReportScale, Logarithmic) {
  const Axis log{.kind = Axis::Kind::kLog}, log2{.kind = Axis::Kind::kLog2};
  EXPECT_THAT(tick_texts(PlotScale(log, {2, 700}, 5)), ElementsAre("10", "100", "1000"));
  EXPECT_THAT(tick_texts(PlotScale(log, {1.5, 8}, 5)), ElementsAre("1", "2", "5", "10"));
  EXPECT_THAT(tick_texts(PlotScale(log, {1e-3, 1e9}, 4)), ElementsAre("0.001", "10", "100k", "1G"));
  EXPECT_THAT(tick_texts(PlotScale(log2, {1, 32}, 9)), ElementsAre("1", "2", "4", "8", "16", "32"));
  EXPECT_THAT(tick_texts(PlotScale(log2, {100, 1000}, 9)),
              ElementsAre("64", "128", "256", "512", "1024"));
  EXPECT_NEAR(PlotScale(log, {1, 100}, 5).position(10), 0.5, 1e-12);
  EXPECT_FALSE(PlotScale(log, {1, 100}, 5).can_show(0));
}

TEST(ReportScale, OfNothingAndOfOneValue) {
  const double inf = std::numeric_limits<double>::infinity();
  for (const auto kind : {Axis::Kind::kLinear, Axis::Kind::kLog, Axis::Kind::kLog2})
    for (const std::vector<double>& values :
         {std::vector<double>{}, {5}, {0}, {-3}, {inf, std::nan("")}, {1e300, -1e300}, {1e-300}}) {
      const PlotScale scale({.kind = kind}, values, 5);
      EXPECT_LT(scale.low(), scale.high());
      EXPECT_TRUE(std::isfinite(scale.position(1)));
      EXPECT_THAT(scale.ticks(), Not(IsEmpty()));
      EXPECT_LE(scale.ticks().size(), 100u);
    }
}

// ---- drawings ----

TEST(ReportLabels, LieOnNothing) {
  LabelPlacer placer({0, 0, 200, 100});
  std::vector<PlotBox> boxes;
  for (int i = 0; i < 12; ++i)
    if (const auto box = placer.place_beside(100 + i, 50, 40, 12)) boxes.push_back(*box);
  EXPECT_GE(boxes.size(), 4u);
  EXPECT_LT(boxes.size(), 12u);  // where there is no room there is no label
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    EXPECT_TRUE((PlotBox{0, 0, 200, 100}.holds(boxes[i])));
    for (std::size_t j = 0; j < i; ++j) EXPECT_FALSE(boxes[i].overlaps(boxes[j]));
  }
}

TEST(ReportLabels, Clip) {
  const PlotBox box{0, 0, 10, 10};
  const auto part = PlotSegment{-10, 5, 20, 5}.clipped(box);
  ASSERT_TRUE(part);
  EXPECT_DOUBLE_EQ(part->x0, 0);
  EXPECT_DOUBLE_EQ(part->x1, 10);
  EXPECT_FALSE((PlotSegment{-10, 11, 20, 11}.clipped(box)));
  EXPECT_FALSE((PlotSegment{-5, 8, 8, 25}.clipped(box)));
}

TEST(ReportSvg, HasWhatWasGiven) {
  const std::string svg = svg_plot(lines(), kWidePlot, "p").svg;
  EXPECT_EQ(problem_of(svg), "");
  for (const char* part :
       {"<title id=\"p-t\">Decoding</title>", "time against context", "with a cache",
        ">the longest</text>", ">a gap</text>", ">a second</text>", ">1024</text>",
        "context, tokens", "time, ms", "without, the longest: context 1024 tokens, time 2100 ms"})
    EXPECT_THAT(svg, HasSubstr(part));
  EXPECT_EQ(count(svg, "<circle"), 3 + 1);  // points, and the legend
  const std::string bar = svg_plot(bars(), kNarrowPlot, "b").svg;
  EXPECT_EQ(problem_of(bar), "");
  for (const char* part : {">2200</text>", ">768</text>", "INT4, KV: 128 MB", "url(#b-h1)"})
    EXPECT_THAT(bar, HasSubstr(part));
}

TEST(ReportSvg, OfLittleAndOfTooMuch) {
  const double nan = std::nan(""), inf = std::numeric_limits<double>::infinity();
  const std::vector<Point> odd{{0, 0}, {-1, 5}, {nan, 1}, {1, inf}, {1e300, 1e-300}};
  for (const auto style :
       {Series::Style::kLine, Series::Style::kPoints, Series::Style::kBars, Series::Style::kRoof})
    for (const auto kind : {Axis::Kind::kLinear, Axis::Kind::kLog, Axis::Kind::kLog2})
      for (const auto& points : {std::vector<Point>{}, {{3, 4, "only"}}, odd})
        for (const PlotSize& size : {kWidePlot, kNarrowPlot}) {
          Plot plot{.title = "<x> & \"y\"", .x = {.kind = kind}, .y = {.kind = kind}};
          plot.series = {{.title = "</svg>", .style = style, .points = points}};
          const std::string svg = svg_plot(plot, size, "p").svg;
          EXPECT_EQ(problem_of(svg), "");
          EXPECT_THAT(svg, Not(HasSubstr("nan")));
          EXPECT_THAT(svg, Not(HasSubstr("inf")));
          EXPECT_EQ(count(svg, "</svg>"), 1);
          if (style != Series::Style::kBars) {
            EXPECT_THAT(text_plot(plot), HasSubstr("┤"));
          }
        }
  EXPECT_THAT(svg_plot({}, kWidePlot, "p").svg, HasSubstr("nothing was measured"));
  EXPECT_EQ(problem_of(svg_file(lines())), "");
  EXPECT_THAT(svg_file(lines()), HasSubstr("prefers-color-scheme: dark"));
}

TEST(ReportTerminal, FitsAndShowsEverySeries) {
  for (const int columns : {40, 80, 120}) {
    const std::string text = text_plot(lines(), columns, 24);
    std::size_t rows = 0;
    for (std::size_t at = 0; at < text.size(); ++rows) {
      const std::size_t end = text.find('\n', at);
      EXPECT_LE(characters(text.substr(at, end - at)), static_cast<std::size_t>(columns));
      at = end + 1;
    }
    EXPECT_LE(rows, 24u);
    EXPECT_GE(count(text, "●"), 1 + 1);
    EXPECT_GE(count(text, "○"), 3 + 1);
    EXPECT_THAT(text, HasSubstr("a a second"));
  }
}

// ---- page and folder ----

TEST(ReportPage, HasEverythingAndNothingFromElsewhere) {
  Section roofline = section("roofline");
  const std::string html = to_html({section("ablation"), roofline}, {"a.json: <damaged>"});
  EXPECT_EQ(problem_of(html), "");
  for (const char* part :
       {"About ablation", "About roofline", "href=\"#roofline\"", "ridgeline run -m a.gguf",
        "a.json: &lt;damaged&gt;", "0.432*", "good\">all of it", "AMD EPYC", "* extrapolated"})
    EXPECT_THAT(html, HasSubstr(part));
  EXPECT_EQ(count(html, "AMD EPYC"), 1);  // one machine
  roofline.machine[0].value = "another";
  EXPECT_EQ(count(to_html({section("ablation"), roofline}, {}), "<dl class=\"machine\">"), 2);
  EXPECT_EQ(count(html, "http"), count(html, "xmlns=\"http://www.w3.org/2000/svg\"") + 1);
  for (const char* part : {"<script", "<link", "<img", "url(http"})
    EXPECT_THAT(html, Not(HasSubstr(part)));
  // For looking at it.
  if (const char* path = std::getenv("RIDGELINE_REPORT_HTML"))
    std::ofstream(path, std::ios::binary) << html;
}

TEST(ReportPage, NamesCannotInject) {
  const std::string evil =
      "</td></svg><script>alert(1)</script><img src=x onerror=\"f('2')\">&\x01\xff";
  Section s = section("a");
  s.title = s.version = s.command_line = s.date = evil;
  s.machine = s.figures = {{evil, evil, evil}};
  Table table = speeds();
  table.title = evil;
  table.columns[0] = {.name = evil, .unit = evil};
  table.rows[0][0] = evil;
  table.notes = {evil};
  Plot plot = lines(), bar = bars();
  for (Plot* p : {&plot, &bar}) {
    p->title = p->description = p->x.title = p->y.unit = p->series[0].title = evil;
    p->series[1].points[1].label = evil;
  }
  plot.annotations[0].text = evil;
  s.blocks = {Paragraph{evil, evil, evil}, table, plot, bar};
  const std::string html = to_html({s, s}, {evil});
  EXPECT_EQ(problem_of(html), "");
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, Not(HasSubstr("<img")));
  EXPECT_THAT(html, Not(HasSubstr("\xff")));
}

TEST(ReportFolder, SectionsAddUpInTheirOrder) {
  const Folder folder;
  for (const char* name : {"zebra", "roofline", "ablation", "doctor", "abacus"}) {
    const auto problems = write_report(folder.path(), section(name));
    ASSERT_TRUE(problems) << problems.error().message;
    EXPECT_THAT(*problems, IsEmpty());
  }
  const std::string html = folder.read("index.html");
  EXPECT_EQ(problem_of(html), "");
  std::size_t before = 0;
  for (const char* name : {"doctor", "ablation", "roofline", "abacus", "zebra"}) {
    const std::size_t at = html.find(fmt::format("<section class=\"part\" id=\"{}\"", name));
    ASSERT_NE(at, std::string::npos) << name;
    EXPECT_GT(at, before) << name;
    before = at;
  }
  EXPECT_EQ(folder.read("ablation-speed.csv"), to_csv(speeds()));
  EXPECT_TRUE(from_json(folder.read("roofline.json")) == section("roofline"));
}

TEST(ReportFolder, RunningAgainReplaces) {
  const Folder folder;
  ASSERT_TRUE(write_report(folder.path(), section("ablation")));
  ASSERT_TRUE(write_report(folder.path(), section("roofline")));
  Section again = section("ablation");
  again.title = "Once more";
  std::get<Table>(again.blocks[1]).name = "other";
  ASSERT_TRUE(write_report(folder.path(), again));
  const std::string html = folder.read("index.html");
  EXPECT_THAT(html, HasSubstr("Once more"));
  EXPECT_THAT(html, Not(HasSubstr("About ablation")));
  EXPECT_FALSE(folder.has("ablation-speed.csv"));
  EXPECT_TRUE(folder.has("ablation-other.csv"));
  EXPECT_TRUE(folder.has("roofline-speed.csv"));
}

TEST(ReportFolder, DamagedSectionsAreNamedAndLeftOut) {
  const Folder folder;
  ASSERT_TRUE(write_report(folder.path(), section("doctor")));
  const std::string half = folder.read("doctor.json").substr(0, 400);
  folder.write("doctor.json", half);
  folder.write("package.json", R"({"name": "somebody's"})");
  const auto problems = write_report(folder.path(), section("ablation"));
  ASSERT_TRUE(problems) << problems.error().message;
  ASSERT_THAT(*problems, SizeIs(1));
  EXPECT_THAT(problems->front(), HasSubstr("doctor.json: a damaged section, left out of the page"));
  const std::string html = folder.read("index.html");
  EXPECT_THAT(html, HasSubstr("doctor.json: a damaged section"));
  EXPECT_THAT(html, HasSubstr("About ablation"));
  EXPECT_EQ(folder.read("doctor.json"), half);
  // Its own command mends it.
  EXPECT_THAT(*write_report(folder.path(), section("doctor")), IsEmpty());
  // Under another's name it is no good.
  folder.write("zebra.json", folder.read("doctor.json"));
  EXPECT_THAT(write_report(folder.path(), section("ablation"))->front(),
              HasSubstr("it is of section \"doctor\""));
}

TEST(ReportFolder, OverwritesNothingOfOthers) {
  const Folder folder;
  folder.write("doctor.json", "{\"name\": \"mine\"}");
  EXPECT_THAT(check_folder(folder.path(), "doctor").error().message,
              HasSubstr("doctor.json: is no section of a report and would be overwritten"));
  EXPECT_TRUE(check_folder(folder.path(), "ablation"));
  folder.write("index.html", "<h1>my page</h1>");
  const auto refused = write_report(folder.path(), section("ablation"));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("index.html: is no report's page"));
  EXPECT_FALSE(folder.has("ablation.json"));
  EXPECT_EQ(folder.read("index.html"), "<h1>my page</h1>");
}

TEST(ReportFolder, WhatCannotBeAFolderIsSaid) {
  const Folder folder;
  folder.write("file", "x");
  EXPECT_THAT(check_folder(folder.file("file"), "doctor").error().message,
              HasSubstr("file: cannot be made a folder"));
  EXPECT_THAT(check_folder(folder.file("file/below"), "doctor").error().message,
              HasSubstr("cannot be made a folder"));
  fs::create_directories(folder.file("doctor.json"));
  EXPECT_THAT(check_folder(folder.path(), "doctor").error().message, HasSubstr("is no file"));
  if (geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  fs::permissions(folder.path(), fs::perms::owner_read | fs::perms::owner_exec);
  EXPECT_THAT(check_folder(folder.path(), "doctor").error().message,
              HasSubstr("cannot be written"));
}

TEST(ReportSection, KnowsTheMachineAndTheCommand) {
  const Section s = new_section("doctor", "Doctor", "1.2.3");
  EXPECT_THAT(s.command_line, HasSubstr("test_tools"));
  EXPECT_THAT(s.command_line, Not(HasSubstr("/test_tools")));
  EXPECT_THAT(s.date, HasSubstr(" UTC"));
  EXPECT_TRUE(s.machine == machine_facts());
  EXPECT_TRUE(to_json(s));
}

// ---- the roofline ----

/// 4 G int8 operations over 1 GB, in 50 ms where memory gives 40 GB/s and int8 800 GOP/s.
RooflineReport::Line decode_line(double seconds) {
  RooflineReport::Line line;
  line.work = {RooflineWork::Kind::kDecode, {Workload::Kind::kDecode, 4, 512, 1}};
  Measurement& m = line.measured;
  m.work = line.work.work;
  m.seconds = {seconds};
  m.cost.ops_of(Arithmetic::kInt8) = 4e9;
  m.cost.bytes = 1e9;
  m.before.read_bytes_per_second = 30e9;
  m.after.read_bytes_per_second = 50e9;
  for (Ceilings* c : {&m.before, &m.after})
    c->ops_per_second[static_cast<std::size_t>(Arithmetic::kInt8)] = 800e9;
  return line;
}

RooflineReport made_up() {
  RooflineReport r;
  r.model = "made-up.gguf";
  r.types = "Q4_0";
  r.isa = "avx2";
  r.threads = 2;
  r.one_thread_bytes_per_second = 20e9;
  r.lines = {decode_line(0.05)};
  // 100 times the operations over the same bytes: 400 G operations at most in half a second.
  RooflineReport::Line prefill = decode_line(0.8);
  prefill.work = {RooflineWork::Kind::kPrefill, {Workload::Kind::kPrefill, 512, 0, 1}};
  prefill.measured.cost.ops_of(Arithmetic::kInt8) = 400e9;
  r.lines.push_back(prefill);
  return r;
}

TEST(Roofline, ByHand) {
  const RooflineReport r = made_up();
  const RooflineReport::Line &decode = r.lines[0], &prefill = r.lines[1];
  // 4 operations per byte at 40 GB/s are 160 GOP/s; 4 G in 50 ms are 80.
  EXPECT_DOUBLE_EQ(decode.ops_per_second(), 80e9);
  EXPECT_DOUBLE_EQ(decode.roof_ops_per_second(), 160e9);
  EXPECT_DOUBLE_EQ(decode.measured.share(), 0.5);
  EXPECT_TRUE(decode.measured.roofline().memory_bound());
  EXPECT_DOUBLE_EQ(prefill.ops_per_second(), 500e9);
  EXPECT_DOUBLE_EQ(prefill.roof_ops_per_second(), 800e9);
  EXPECT_FALSE(prefill.measured.roofline().memory_bound());
  EXPECT_DOUBLE_EQ(r.least_bytes_per_second(), 30e9);
  EXPECT_DOUBLE_EQ(r.most_bytes_per_second(), 50e9);
  EXPECT_DOUBLE_EQ(r.peaks().read_bytes_per_second, 40e9);
  EXPECT_THAT(r.arithmetics(), ElementsAre(Arithmetic::kInt8));
}

TEST(Roofline, Drawn) {
  const RooflineReport r = made_up();
  const Plot plot = roofline_plot(r);
  std::vector<std::string> titles;
  for (const Series& s : plot.series) titles.push_back(s.title);
  EXPECT_THAT(titles, ElementsAre("prefill", "decode", "50.0 GB/s at most, 2 threads",
                                  "30.0 GB/s at least, 2 threads", "20.0 GB/s, 1 thread",
                                  "int8 800 GOP/s"));
  EXPECT_TRUE(plot.series[1].points[0] == (Point{4, 80, "depth 512"}));
  // The steepest slope ends where the peak begins: at 800 / 50 operations per byte.
  EXPECT_DOUBLE_EQ(plot.series[2].points[1].x, 16);
  EXPECT_DOUBLE_EQ(plot.series[2].points[1].y, 800);
  EXPECT_DOUBLE_EQ(plot.series[5].points[0].x, 16);
  const Table table = roofline_table(r);
  EXPECT_EQ(shown(table.rows[0][0], table.columns[0]), "decode, depth 512");
  EXPECT_EQ(shown(table.rows[0][6], table.columns[6]), "50.0");
  EXPECT_EQ(shown(table.rows[0][7], table.columns[7]), "memory");
  EXPECT_EQ(shown(table.rows[1][7], table.columns[7]), "arithmetic");
  Section s = section("roofline");
  s.blocks.clear();
  add_roofline(r, s);
  EXPECT_EQ(json::parse(*to_json(s))["data"]["lines"][1]["share_of_roof"], 0.625);
  EXPECT_EQ(problem_of(to_html({s}, {})), "");
}

TEST(Roofline, WithoutMeasuredRoofs) {
  RooflineReport r = made_up();
  r.one_thread_bytes_per_second = 0;
  for (RooflineReport::Line& line : r.lines) line.measured.before = line.measured.after = {};
  EXPECT_THAT(roofline_plot(r).series, SizeIs(2));
  EXPECT_EQ(shown(roofline_table(r).rows[0][6], {}), "–");
  EXPECT_THAT(text_plot(roofline_plot(r)), HasSubstr("decode"));
  EXPECT_EQ(problem_of(svg_file(roofline_plot(RooflineReport{}))), "");
}

TEST(Roofline, WorksAsFarAsTheContextAllows) {
  const RooflineOptions options{.prompts = {512, 64, 64}, .depths = {0, 509}, .streams = {2}};
  std::vector<std::string> texts;
  for (const RooflineWork& w : roofline_works(options, 512))
    texts.push_back(name(w.kind) + " " + describe(w));
  EXPECT_THAT(texts, ElementsAre("prefill 64 tokens", "prefill 512 tokens", "decode depth 0",
                                 "streams 2 streams"));
}

}  // namespace
}  // namespace ridgeline::report
