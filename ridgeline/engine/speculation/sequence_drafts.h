#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ridgeline/engine/speculation/draft_control.h"
#include "ridgeline/engine/speculation/drafter.h"
#include "ridgeline/engine/speculation/speculation_stats.h"

namespace ridgeline {

/// What speculation knows of one sequence.
struct SequenceDrafts {
  /// A draft beside what the sequence then says, whether it was checked or not.
  struct Shadow {
    std::vector<DraftToken> tokens;
    std::int64_t position = 0;  ///< of tokens[0]
    std::size_t next = 0;       ///< the first that is not compared yet

    bool open() const { return next < tokens.size(); }
  };

  DraftHistory history;
  std::vector<Draft> proposals;  ///< [drafter], of this step
  std::vector<Shadow> shadows;   ///< [drafter]
  int drafter = -1;              ///< whose draft this step checks; -1: none
  std::int64_t position = 0;  ///< of the first token that this step says; 0: it generates nothing
  SpeculationCounts counts;
};

}  // namespace ridgeline
