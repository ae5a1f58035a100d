#pragma once

#include "ridgeline/quant/impl/affine_search.h"
#include "ridgeline/quant/impl/symmetric_search.h"
#include "ridgeline/quant/isa.h"

// The formats as their searches see them, with what the searches try. The numbers of trials
// are where more of them lowers the error on trained weights by less than half a percent.
namespace ridgeline::RIDGELINE_ISA {
namespace {

struct Q4_0Search {
  using Steps = EvenSteps<-8, 7>;
  static constexpr int kSubElements = 32, kTrials = 4, kRefits = 3;
  static constexpr float kFirst = 5.4f, kStep = 0.1f;
};
struct Q5_0Search {
  using Steps = EvenSteps<-16, 15>;
  static constexpr int kSubElements = 32, kTrials = 3, kRefits = 3;
  static constexpr float kFirst = 12.5f, kStep = 0.125f;
};
struct Q8_0Search {
  using Steps = EvenSteps<-127, 127>;
  static constexpr int kSubElements = 32, kTrials = 4, kRefits = 2;
  static constexpr float kFirst = 114.0f, kStep = 0.25f;
};
struct IQ4_NLSearch {
  using Steps = CodebookSteps;
  static constexpr int kSubElements = 32, kTrials = 2, kRefits = 3;
  static constexpr float kFirst = 96.0f, kStep = 2.0f;
};
struct IQ4_XSSearch : IQ4_NLSearch {
  static constexpr float kScaleLow = -32.0f, kScaleHigh = 31.0f;
  static constexpr int kTries = 2, kRounds = 2;
};
struct Q3_KSearch {
  using Steps = EvenSteps<-4, 3>;
  static constexpr int kSubElements = 16, kTrials = 2, kRefits = 3;
  static constexpr float kFirst = 2.5f, kStep = 0.1f;
  static constexpr float kScaleLow = -32.0f, kScaleHigh = 31.0f;
  static constexpr int kTries = 2, kRounds = 2;
};
struct Q6_KSearch {
  using Steps = EvenSteps<-32, 31>;
  static constexpr int kSubElements = 16, kTrials = 3, kRefits = 2;
  static constexpr float kFirst = 27.0f, kStep = 0.15f;
  static constexpr float kScaleLow = -128.0f, kScaleHigh = 127.0f;
  static constexpr int kTries = 2, kRounds = 2;
};

struct Q4_1Search {
  static constexpr bool kBelowZero = false;
  static constexpr int kLevelMax = 15;
  static constexpr int kSubElements = 32, kTrials = 2, kRefits = 3;
  static constexpr float kFirst = -0.4f, kStep = 0.25f;
};
struct Q5_1Search : Q4_1Search {
  static constexpr int kLevelMax = 31;
  static constexpr float kFirst = -0.4f, kStep = 0.3f;
};
struct Q4_KSearch : Q4_1Search {
  static constexpr bool kBelowZero = true;
  static constexpr int kScaleMax = 63;
  static constexpr int kTries = 4, kRounds = 2;
};
struct Q5_KSearch : Q5_1Search {
  static constexpr bool kBelowZero = true;
  static constexpr int kScaleMax = 63;
  static constexpr int kTries = 4, kRounds = 3;
};
struct Q2_KSearch {
  static constexpr bool kBelowZero = true;
  static constexpr int kLevelMax = 3;
  static constexpr int kSubElements = 16, kTrials = 2, kRefits = 3;
  static constexpr float kFirst = -0.35f, kStep = 0.15f;
  static constexpr int kScaleMax = 15;
  static constexpr int kTries = 4, kRounds = 3;
};

}  // namespace

extern constinit const GridSearches kGridSearches = {
    .q4_0 = search_symmetric<Q4_0Search>,
    .q4_1 = search_affine<Q4_1Search>,
    .q5_0 = search_symmetric<Q5_0Search>,
    .q5_1 = search_affine<Q5_1Search>,
    .q8_0 = search_symmetric<Q8_0Search>,
    .q2_k = search_affine_block<Q2_KSearch>,
    .q3_k = search_symmetric_block<Q3_KSearch>,
    .q4_k = search_affine_block<Q4_KSearch>,
    .q5_k = search_affine_block<Q5_KSearch>,
    .q6_k = search_symmetric_block<Q6_KSearch>,
    .iq4_nl = search_symmetric<IQ4_NLSearch>,
    .iq4_xs = search_symmetric_block<IQ4_XSSearch>,
};

}  // namespace ridgeline::RIDGELINE_ISA
