// The curve against steps of machines whose true times are known.

#include "ridgeline/engine/cost_curve.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace ridgeline {
namespace {

double rows_seconds(const CostCurve& cost, std::int64_t rows) { return cost.seconds({rows, 0}); }

TEST(CostCurve, FollowsItsKnots) {
  CostCurve cost;
  EXPECT_FALSE(cost.known() || cost.measured());
  for (int i = 0; i < 4; ++i) cost.set(1 << i, 1.0 + i);
  EXPECT_TRUE(cost.known() && cost.measured());
  EXPECT_DOUBLE_EQ(cost.seconds({1, 0}), 1.0);
  EXPECT_DOUBLE_EQ(cost.seconds({3, 0}), 2.5);
  EXPECT_DOUBLE_EQ(cost.seconds({8, 0}), 4.0);
  EXPECT_DOUBLE_EQ(cost.seconds({80, 0}), 40.0);
  cost.set_per_attended(0.5);
  EXPECT_DOUBLE_EQ(cost.seconds({1, 10}), 6.0);
  EXPECT_EQ(load_of(10, 3).attended, 11 + 12 + 13);
  cost.set_per_attended(0);
  EXPECT_EQ(cost.rows_within(3.5, {2, 0}, 0, 100), 4);
  // What is observed again and again becomes what is expected; one outlier does not.
  const double before = cost.seconds({4, 0});
  cost.observe({4, 0}, 1000);
  EXPECT_LT(cost.seconds({4, 0}), before * 1.2);
  for (int i = 0; i < 200; ++i) cost.observe({4, 0}, 3.5);
  EXPECT_NEAR(cost.seconds({4, 0}), 3.5, 0.05);
}

// Tiles of four rows: 1 to 4 rows take the same, 5 to 8 the same.
TEST(CostCurve, HasAKnotAtEveryFewRows) {
  CostCurve cost;
  for (const std::int64_t rows : CostCurve::kKnots)
    if (rows <= 16) cost.set(rows, 1.0 + static_cast<double>((rows - 1) / 4));
  EXPECT_DOUBLE_EQ(rows_seconds(cost, 4), 1.0);
  EXPECT_DOUBLE_EQ(rows_seconds(cost, 5), 2.0);
  EXPECT_DOUBLE_EQ(rows_seconds(cost, 8), 2.0);
  EXPECT_DOUBLE_EQ(rows_seconds(cost, 9), 2.5);  // between 8 and 10
  EXPECT_DOUBLE_EQ(rows_seconds(cost, 16), 4.0);
  EXPECT_EQ(cost.rows_within(1.9, {1, 0}, 0, 100), 3);
}

// In any order; what contradicts "more rows take no less" is evened out, and only there.
TEST(CostCurve, NeverFalls) {
  CostCurve cost;
  cost.set(8, 4.0);
  cost.set(2, 3.0);
  cost.set(4, 2.0);
  EXPECT_DOUBLE_EQ(rows_seconds(cost, 1), 2.5);  // below the first known: as that
  EXPECT_DOUBLE_EQ(rows_seconds(cost, 2), 2.5);
  EXPECT_DOUBLE_EQ(rows_seconds(cost, 4), 2.5);
  EXPECT_DOUBLE_EQ(rows_seconds(cost, 8), 4.0);
  cost.set(2, 1.0);  // the mean left no trace
  EXPECT_DOUBLE_EQ(rows_seconds(cost, 2), 1.0);
  EXPECT_DOUBLE_EQ(rows_seconds(cost, 4), 2.0);
}

TEST(CostCurve, LearnsFromStepsAlone) {
  const auto truth = [](std::int64_t rows) { return 1.0 + 0.1 * static_cast<double>(rows - 1); };
  CostCurve cost;
  cost.observe({128, 0}, truth(128));  // a prompt
  EXPECT_TRUE(cost.known() && cost.known(128));
  EXPECT_FALSE(cost.known(1) || cost.measured());
  EXPECT_DOUBLE_EQ(rows_seconds(cost, 128), truth(128));
  cost.observe({1, 0}, truth(1));  // far below what was expected, which is no outlier here
  EXPECT_TRUE(cost.known(1));
  EXPECT_NEAR(rows_seconds(cost, 1), 1.0, 1e-9);
  EXPECT_NEAR(rows_seconds(cost, 5), 1.4, 1e-9);
  cost.observe({5, 0}, 1.1);
  EXPECT_NEAR(rows_seconds(cost, 5), 1.1, 1e-9);
  EXPECT_NEAR(rows_seconds(cost, 3), 1.05, 1e-9);
  EXPECT_NEAR(rows_seconds(cost, 1), 1.0, 1e-9);
}

// A step that seems too dear never comes, so that nobody would notice that it is not.
TEST(CostCurve, IsHopefulBeyondWhatItHasSeen) {
  CostCurve cost;
  cost.observe({1, 0}, 1.0);
  EXPECT_DOUBLE_EQ(rows_seconds(cost, 9), 1.0);
  cost.observe({2, 0}, 1.1);
  EXPECT_NEAR(rows_seconds(cost, 9), 1.8, 1e-9);
  cost.observe({2, 0}, 3.0);  // the slope is no steeper than the rows
  EXPECT_LE(rows_seconds(cost, 9), rows_seconds(cost, 2) * 4.5 + 1e-9);
}

TEST(CostCurve, AFirstStepAtABadMomentIsSoonForgotten) {
  CostCurve cost;
  cost.observe({64, 0}, 4.0);
  cost.observe({1, 0}, 3.9);
  for (int i = 0; i < 12; ++i) cost.observe({1, 0}, 1.0);
  EXPECT_NEAR(rows_seconds(cost, 1), 1.0, 0.1);
}

// Neighbours take half of the machine: all knots follow within twenty steps that show one of
// them, and their ratio is left as it was.
TEST(CostCurve, TheWholeCurveFollowsTheMachine) {
  CostCurve cost;
  for (const std::int64_t rows : {1, 2, 4, 8})
    cost.set(rows, 1.0 + 0.1 * static_cast<double>(rows));
  for (int i = 0; i < 500; ++i) cost.observe({1, 0}, 1.1);
  const double ratio = rows_seconds(cost, 8) / rows_seconds(cost, 1);
  for (int i = 0; i < 20; ++i) cost.observe({1, 0}, 2.2);
  EXPECT_NEAR(rows_seconds(cost, 1), 2.2, 0.1);
  EXPECT_NEAR(rows_seconds(cost, 8), 3.6, 0.4);
  for (int i = 0; i < 20; ++i) cost.observe({1, 0}, 1.1);
  EXPECT_NEAR(rows_seconds(cost, 8) / rows_seconds(cost, 1), ratio, 0.01 * ratio);
}

// What was measured at start-up was wrong at one knot: the steps that come show it, in a mixture
// of loads and noise.
TEST(CostCurve, TheShapeIsCorrected) {
  std::mt19937 random(1);
  std::normal_distribution<double> noise(0, 0.08);
  const auto truth = [](std::int64_t rows) { return 1.0 + 0.06 * static_cast<double>(rows - 1); };
  CostCurve cost;
  for (const std::int64_t rows : CostCurve::kKnots)
    if (rows <= 16) cost.set(rows, truth(rows) * (rows == 4 ? 1.5 : 1.0));
  for (int i = 0; i < 600; ++i) {
    const std::int64_t rows = std::vector<std::int64_t>{1, 3, 4, 8}[random() % 4];
    cost.observe({rows, 0}, truth(rows) * std::exp(noise(random)));
  }
  for (const std::int64_t rows : {3, 4, 8})
    EXPECT_NEAR(rows_seconds(cost, rows) / rows_seconds(cost, 1), truth(rows), 0.06 * truth(rows))
        << rows;
}

// The doubt is greatest where least was seen, and never turns the order of rows.
TEST(CostCurve, GivesTheBenefitOfTheDoubt) {
  CostCurve cost;
  for (const std::int64_t rows : CostCurve::kKnots)
    if (rows <= 16) cost.set(rows, 1.0 + 0.05 * static_cast<double>(rows - 1));
  for (int i = 0; i < 200; ++i) cost.observe({4, 0}, 1.15);
  const auto doubt = [&](std::int64_t rows) {
    return 1 - cost.at_best({rows, 0}) / rows_seconds(cost, rows);
  };
  EXPECT_LT(doubt(4), 0.05);
  EXPECT_GT(doubt(8), 0.08);
  for (std::int64_t rows = 2; rows < 40; ++rows)
    EXPECT_GE(cost.at_best({rows, 0}), cost.at_best({rows - 1, 0})) << rows;
  // Between two that are known, what was never seen may be far less.
  CostCurve seen;
  seen.observe({1, 0}, 1.0);
  seen.observe({101, 0}, 11.0);
  EXPECT_NEAR(rows_seconds(seen, 5), 1.4, 0.1);
  EXPECT_LT(seen.at_best({5, 0}), 1.0);
  EXPECT_GE(seen.at_best({5, 0}), seen.at_best({1, 0}));
}

// Single steps that took ten times as long leave nothing behind.
TEST(CostCurve, SpikesPass) {
  CostCurve cost;
  for (const std::int64_t rows : CostCurve::kKnots)
    if (rows <= 16) cost.set(rows, 1.0 + 0.05 * static_cast<double>(rows - 1));
  for (int i = 0; i < 400; ++i) {
    const std::int64_t rows = 1 + i % 5;
    const double spike = i % 50 == 0 && i < 350 ? 10 : 1;
    cost.observe({rows, 0}, spike * (1.0 + 0.05 * static_cast<double>(rows - 1)));
    if (i >= 10 && i % 50 > 12) {
      EXPECT_NEAR(rows_seconds(cost, 16) / 1.75, rows_seconds(cost, 2) / 1.05, 0.1);
    }
  }
  for (const std::int64_t rows : {1, 3, 5, 16})
    EXPECT_NEAR(rows_seconds(cost, rows), 1.0 + 0.05 * static_cast<double>(rows - 1), 0.05) << rows;
}

}  // namespace
}  // namespace ridgeline
