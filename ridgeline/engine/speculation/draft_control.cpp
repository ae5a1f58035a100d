#include "ridgeline/engine/speculation/draft_control.h"
namespace ridgeline {
DraftControl::DraftControl(int) {}
DraftHistory DraftControl::new_history() const { return {}; }
double DraftControl::hit_rate(const DraftHistory&, int, int) const { return 0.5; }
void DraftControl::learn(DraftHistory&, int, int, bool) {}
std::vector<int> DraftControl::ask(int, std::span<const DraftCandidate> c, const CostCurve&,
                                   const StepLoad&, double) {
  return std::vector<int>(c.size(), 0);
}
std::vector<DraftChoice> DraftControl::choose(std::span<const DraftCandidate> c, const CostCurve&,
                                              const StepLoad&, std::int64_t rows) const {
  std::vector<DraftChoice> out(c.size());
  for (std::size_t i = 0; i < c.size(); ++i) {
    const auto n = std::min<std::int64_t>(
        rows, c[i].drafts[0] ? (std::int64_t)c[i].drafts[0]->tokens.size() : 0);
    if (n > 0) {
      out[i] = {0, (int)n, 0};
      rows -= n;
    }
  }
  return out;
}
}  // namespace ridgeline
