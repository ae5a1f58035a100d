#pragma once

#include <vector>

#include "ridgeline/text/token_index.h"
#include "ridgeline/text/vocabulary.h"

namespace ridgeline {

/// The tokens after which a model has said all: those that the vocabulary names (eos,
/// eot, eom) and, since files often name only one of several, those by whose texts the
/// known chat formats end a turn. Ascending, each once.
std::vector<TokenId> end_of_generation_ids(const VocabularyData& data, const TokenIndex& index);

}  // namespace ridgeline
