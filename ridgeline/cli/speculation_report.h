#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ridgeline/tools/bench_speculate.h"
#include "ridgeline/tools/check_cost.h"

namespace ridgeline::cli {

/// A line for each category and way. `title` goes before them.
void print_speculation(const std::string& title, const std::vector<SpeculationLine>& lines,
                       const std::vector<SpeculationVariant>& variants);
nlohmann::ordered_json to_json(const std::vector<SpeculationLine>& lines,
                               const std::vector<SpeculationVariant>& variants);

/// A line for each agreement: speed-ups of all lengths and of the control. `lines` are those of
/// SpeculationPlan::add_planted().
void print_planted(const std::string& title, const std::vector<SpeculationLine>& lines,
                   const std::vector<double>& agreements, const std::vector<int>& lengths);
nlohmann::ordered_json planted_json(const std::vector<SpeculationLine>& lines,
                                    const std::vector<double>& agreements,
                                    const std::vector<int>& lengths);

void print_check_costs(const std::string& title, const std::vector<CheckCost>& costs);
nlohmann::ordered_json to_json(const std::vector<CheckCost>& costs);

}  // namespace ridgeline::cli
