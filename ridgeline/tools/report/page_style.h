#pragma once

namespace ridgeline::report {

/// Colours, and plots. Colours of series after Okabe and Ito (2008), which most colour-blind people
/// tell apart, darkened or lightened to read on white and on dark.
inline constexpr const char* kPlotStyle = R"css(
:root { color-scheme: light; --text: #1c2026; --muted: #5d6672; --page: #fff; --card: #f4f6f8;
  --rule: #d9dee4; --bar: #cfe3f3; --good: #00694b; --advice: #7d5f00; --warning: #b3361b;
  --c0: #0072b2; --c1: #d55e00; --c2: #00845f; --c3: #b8578f; --c4: #8a6d00; --c5: #2a93cc;
  --c6: #7a4fbf; --c7: #4a525c; }
@media screen and (prefers-color-scheme: dark) { :root { color-scheme: dark; --text: #e4e7eb;
  --muted: #9aa4b0; --page: #14171b; --card: #1e2328; --rule: #343b43; --bar: #23415a;
  --good: #43cc9f; --advice: #e0bd45; --warning: #ff9173;
  --c0: #4aa3e0; --c1: #ff8b4d; --c2: #35c796; --c3: #e39ac4; --c4: #d9b430; --c5: #8fd0f5;
  --c6: #b090ee; --c7: #b4bcc6; } }
.ground { fill: var(--page); }
.plot, .heading { font-family: system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
.heading { fill: var(--text); font-size: 18px; font-weight: 600; }
.plot text { fill: var(--muted); font-size: 12px; font-variant-numeric: tabular-nums; }
.plot .y { text-anchor: end; }
.plot .x { text-anchor: middle; }
.plot .axis, .plot .legend-text, .plot .label { fill: var(--text); }
.plot .label, .plot .remark, .plot .along { paint-order: stroke; stroke: var(--page);
  stroke-width: 3px; stroke-linejoin: round; }
.plot .remark { font-style: italic; }
.grid { stroke: var(--rule); }
.faint { stroke-opacity: 0.5; }
.roof { stroke: var(--muted); stroke-width: 1.6; }
.hatch { stroke: var(--page); stroke-width: 1; stroke-opacity: 0.75; fill: none; }
.c0 { fill: var(--c0); } .c1 { fill: var(--c1); } .c2 { fill: var(--c2); } .c3 { fill: var(--c3); }
.c4 { fill: var(--c4); } .c5 { fill: var(--c5); } .c6 { fill: var(--c6); } .c7 { fill: var(--c7); }
.line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.broken { stroke-dasharray: 5 4; }
.line.c0 { stroke: var(--c0); } .line.c1 { stroke: var(--c1); } .line.c2 { stroke: var(--c2); }
.line.c3 { stroke: var(--c3); } .line.c4 { stroke: var(--c4); } .line.c5 { stroke: var(--c5); }
.line.c6 { stroke: var(--c6); } .line.c7 { stroke: var(--c7); } path.line { fill: none; }
)css";

/// Pages, behind kPlotStyle.
inline constexpr const char* kPageStyle = R"css(
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 28px 20px 48px; max-width: 960px; background: var(--page);
  color: var(--text); font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
  -webkit-text-size-adjust: 100%; }
h1 { margin: 0; font-size: 26px; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 36px 0 8px; font-size: 17px; }
h3 { margin: 26px 0 6px; font-size: 15px; }
p { margin: 6px 0; max-width: 46em; overflow-wrap: break-word; }
.muted, small { color: var(--muted); }
code, pre { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: 0.9em; }
code { overflow-wrap: anywhere; }
pre { margin: 6px 0; padding: 8px 12px; border-radius: 8px; background: var(--card);
  white-space: pre-wrap; overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(3, 1fr); gap: 10px;
  margin: 20px 0 12px; }
.cards.four { grid-template-columns: repeat(4, 1fr); }
.card { min-width: 0; padding: 10px 14px 12px; border-radius: 8px; background: var(--card); }
.card b { display: block; font-size: 22px; line-height: 1.3; font-weight: 600;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
.card small { display: block; font-size: 13px; line-height: 1.35; }
.piece > .muted, .wide-table + .muted { font-size: 14px; }
.plot { display: block; max-width: 100%; height: auto; }
.plot.narrow { display: none; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 6px 0; padding: 0;
  list-style: none; font-size: 14px; }
.legend svg { margin-right: 6px; vertical-align: -1px; }
.stack { display: block; width: 100%; height: 26px; border-radius: 6px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 18px; margin: 8px 0; }
dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; }
.wide-table { overflow-x: auto; }
.wide-table:focus-visible { outline: 2px solid var(--c0); outline-offset: 2px; }
table { width: 100%; border-collapse: separate; border-spacing: 0; font-size: 13.5px;
  font-variant-numeric: tabular-nums; }
th, td { padding: 3px 10px; text-align: right; white-space: nowrap; vertical-align: top; }
th { color: var(--muted); font-weight: 500; border-bottom: 1px solid var(--rule);
  vertical-align: bottom; }
th.left, td.left { text-align: left; }
td.wrap { white-space: normal; min-width: 16em; overflow-wrap: anywhere; }
th:first-child, td:first-child { padding-left: 0; }
table.names td:first-child { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas,
  monospace; font-size: 12.5px; }
tr.first td, .lines td { border-top: 1px solid var(--rule); }
td.good { color: var(--good); } td.advice { color: var(--advice); font-weight: 600; }
td.warning { color: var(--warning); font-weight: 600; }
.bar { background: linear-gradient(var(--bar), var(--bar)) no-repeat 0 50% / var(--v) 70%; }
nav { margin: 14px 0 0; }
nav a { display: inline-block; margin-right: 18px; color: var(--c0); }
.part { margin-top: 44px; padding-top: 4px; border-top: 2px solid var(--rule); }
.part > h2 { margin-top: 18px; font-size: 21px; }
.problem { padding: 8px 12px; border-left: 4px solid var(--warning); background: var(--card); }
footer { margin-top: 32px; font-size: 13px; color: var(--muted); }
@media (max-width: 600px) {
  body { padding: 18px 14px 32px; }
  .cards, .cards.four { grid-template-columns: repeat(2, 1fr); }
  .card b { font-size: 19px; white-space: normal; overflow-wrap: anywhere; }
  .plot.wide { display: none; }
  .plot.narrow { display: block; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: 6px; }
  th, td { padding: 3px 6px; }
  td:first-child, th:first-child { position: sticky; left: 0; background: var(--page); }
  .lines td:first-child { min-width: 32vw; max-width: 40vw; white-space: normal; }
  td.wrap { min-width: 13em; }
  table.names td:first-child { font-size: 11.5px; }
}
@media print {
  body { max-width: none; padding: 0; font-size: 10.5pt; print-color-adjust: exact;
    -webkit-print-color-adjust: exact; }
  h2, h3 { break-after: avoid; }
  .card, .plot, .piece, .legend, dl, tr, pre { break-inside: avoid; }
  .wide-table { overflow: visible; }
  table { font-size: 8.5pt; }
  table.names td:first-child { font-size: 8pt; }
  th, td { padding: 1.5px 6px; }
  nav { display: none; }
}
)css";

}  // namespace ridgeline::report
