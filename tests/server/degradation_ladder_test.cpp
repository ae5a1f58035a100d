#include "ridgeline/server/limits/degradation_ladder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "ridgeline/server/limits/memory_watch.h"
#include "ridgeline/server/limits/pressure_monitor.h"

namespace ridgeline {
namespace {

using ::testing::ElementsAre;

constexpr LadderOptions kOptions = {.queue_delay_target_seconds = 10,
                                    .kv_use_max = 0.95,
                                    .memory_use_max = 0.9,
                                    .queue_delay_relief = 0.8,
                                    .kv_relief = 0.8,
                                    .memory_relief = 0.8,
                                    .step_up_seconds = 2,
                                    .step_down_seconds = 10,
                                    .capped_max_tokens = 100};

Clock::time_point at(double seconds) {
  return Clock::time_point{} + std::chrono::hours(7) +
         std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

EngineStats waiting_for(double seconds) {
  EngineStats stats;
  stats.running = 4;
  stats.waiting = seconds > 0 ? 1 : 0;
  stats.oldest_waiting_seconds = stats.oldest_normal_waiting_seconds = seconds;
  stats.kv_blocks = 100;
  return stats;
}

TEST(DegradationLadder, GoesUpARungAtATimeAndComesBackDown) {
  std::vector<double> shares;
  std::vector<bool> speculation;
  std::vector<std::string> moves;
  DegradationLadder ladder(
      kOptions, {[&](double scale) { shares.push_back(scale); },
                 [&](bool allowed) { speculation.push_back(allowed); },
                 [&](Rung from, Rung to) {
                   moves.push_back(std::string(name(from)) + " " + std::string(name(to)));
                 }});
  std::vector<int> seen;
  const auto run = [&](double from, double to, double delay) {
    seen.clear();
    for (double now = from; now < to; now += 0.25) {
      ladder.update(waiting_for(delay), 0.1, at(now));
      seen.push_back(static_cast<int>(ladder.rung()));
    }
  };
  run(0, 2, 11);
  EXPECT_EQ(ladder.rung(), Rung::kNormal);
  run(2, 2.25, 11);
  EXPECT_EQ(ladder.rung(), Rung::kSmallPrefill);
  EXPECT_THAT(shares, ElementsAre(0.5));
  EXPECT_TRUE(speculation.empty());
  run(2.25, 30, 11);
  EXPECT_EQ(ladder.rung(), Rung::kRefuseAll);
  EXPECT_THAT(speculation, ElementsAre(false));
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 3), 8);  // two seconds on each rung

  run(30, 50, 9);  // neither pressure nor relief
  EXPECT_EQ(ladder.rung(), Rung::kRefuseAll);
  run(50, 60, 0);
  EXPECT_EQ(ladder.rung(), Rung::kRefuseAll);
  run(60, 110, 0);
  EXPECT_EQ(ladder.rung(), Rung::kNormal);
  EXPECT_THAT(shares, ElementsAre(0.5, 1.0));
  EXPECT_THAT(speculation, ElementsAre(false, true));
  ASSERT_EQ(moves.size(), 10u);
  EXPECT_EQ(moves.front(), "normal small_prefill");
  EXPECT_EQ(moves.back(), "small_prefill normal");
  EXPECT_THAT(ladder.report().entered, ElementsAre(1, 2, 2, 2, 2, 1));
}

TEST(DegradationLadder, WhatEachRungDoes) {
  LadderOptions options = kOptions;
  options.step_up_seconds = 0;
  DegradationLadder ladder(options);
  const auto next = [&] { ladder.update(waiting_for(20), 0); };
  const int high = -1, normal = 0, low = 1;
  next(), next();
  ASSERT_EQ(ladder.rung(), Rung::kNoSpeculation);
  EXPECT_FALSE(ladder.max_tokens_cap(low));
  next();
  EXPECT_EQ(ladder.max_tokens_cap(low), 100);
  EXPECT_FALSE(ladder.max_tokens_cap(normal));
  EXPECT_FALSE(ladder.max_tokens_cap(high));
  EXPECT_FALSE(ladder.refuses(low));
  next();
  ASSERT_TRUE(ladder.refuses(low));
  EXPECT_EQ(ladder.refuses(low)->retry_after_seconds, 10);
  EXPECT_FALSE(ladder.refuses(normal));
  next();
  EXPECT_TRUE(ladder.refuses(low) && ladder.refuses(normal) && ladder.refuses(high));
  next();
  EXPECT_EQ(ladder.rung(), Rung::kRefuseAll);
}

TEST(DegradationLadder, EachSignalAlone) {
  LadderOptions options = kOptions;
  options.step_up_seconds = 0;
  const auto goes_up = [&](const EngineStats& stats, double memory) {
    DegradationLadder ladder(options);
    ladder.update(stats, memory);
    return ladder.rung() != Rung::kNormal;
  };
  EngineStats calm = waiting_for(0);
  EXPECT_FALSE(goes_up(calm, 0.89));
  EXPECT_TRUE(goes_up(calm, 0.9));
  EngineStats idle = calm;
  idle.running = 0;
  EXPECT_FALSE(goes_up(idle, 1.0)) << "refusing work frees no memory if there is none";

  EngineStats full = calm;
  full.kv_blocks_in_use = 95;
  EXPECT_FALSE(goes_up(full, 0)) << "nobody waits for a block";
  full.waiting = 1;
  EXPECT_TRUE(goes_up(full, 0));
  full.kv_blocks_in_use = 94;
  full.kv_blocks_cached = 6;
  EXPECT_FALSE(goes_up(full, 0)) << "cached blocks can be had";
  EXPECT_FALSE(goes_up(waiting_for(9.9), 0));
  EXPECT_TRUE(goes_up(waiting_for(10), 0));
  EXPECT_FALSE(goes_up(EngineStats{}, 0));
}

TEST(DegradationLadder, AFullCacheAloneRefusesNobody) {
  DegradationLadder ladder(kOptions);
  EngineStats full = waiting_for(1);
  full.kv_blocks_in_use = 99;
  double now = 0;
  const auto run = [&](const EngineStats& stats, double seconds) {
    for (const double end = now + seconds; now < end; now += 0.25) ladder.update(stats, 0, at(now));
    return ladder.rung();
  };
  EXPECT_EQ(run(full, 60), Rung::kCapLowPriority);
  EngineStats late = full;
  late.oldest_waiting_seconds = late.oldest_normal_waiting_seconds = 11;
  EXPECT_EQ(run(late, 60), Rung::kRefuseAll);
  EXPECT_EQ(run(full, 60), Rung::kCapLowPriority);
  EXPECT_EQ(run(waiting_for(1), 60), Rung::kNormal);
}

TEST(DegradationLadder, ThoseOfLowPriorityWaitAtNobodysCost) {
  DegradationLadder ladder(kOptions);
  EngineStats batch = waiting_for(500);
  batch.oldest_normal_waiting_seconds = 1;
  double now = 0;
  const auto run = [&](const EngineStats& stats, double seconds) {
    for (const double end = now + seconds; now < end; now += 0.25) ladder.update(stats, 0, at(now));
    return ladder.rung();
  };
  EXPECT_EQ(run(batch, 60), Rung::kRefuseLowPriority);
  EngineStats all = batch;
  all.oldest_normal_waiting_seconds = 11;
  EXPECT_EQ(run(all, 10), Rung::kRefuseAll);
  EXPECT_EQ(run(batch, 60), Rung::kRefuseLowPriority);
}

TEST(DegradationLadder, BreaksStartTheClockAnew) {
  DegradationLadder ladder(kOptions);
  for (double now = 0; now < 60; now += 0.5) {
    // A second and a half of pressure, then half a second without: never two in a row.
    ladder.update(waiting_for(std::fmod(now, 2) < 1.5 ? 11 : 9), 0, at(now));
    EXPECT_EQ(ladder.rung(), Rung::kNormal) << now;
  }
}

TEST(DegradationLadder, NeverFasterThanItsHysteresisAndAlwaysBackToNormal) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 200; ++round) {
    DegradationLadder ladder(kOptions);
    double now = 0, moved = -1e9;
    int rung = 0, up = 0, down = 0;
    bool rising = true;
    double delay = 0, memory = 0;
    const auto step = [&] {
      now += 0.05 + static_cast<double>(random() % 100) / 200;
      ladder.update(waiting_for(delay), memory, at(now));
      const int next = static_cast<int>(ladder.rung());
      ASSERT_LE(std::abs(next - rung), 1);
      if (next > rung) {
        ++up;
        ASSERT_GE(now - moved, kOptions.step_up_seconds - 1e-6);
        ASSERT_TRUE(delay >= 10 || memory >= 0.9);
      }
      if (next < rung) {
        ++down;
        ASSERT_GE(now - moved, kOptions.step_down_seconds - 1e-6);
        ASSERT_TRUE(delay < 8 && memory < 0.72 + 1e-9);
      }
      if (next != rung) {
        // A change of direction takes as long as the other direction's step.
        rising = next > rung;
        moved = now;
        rung = next;
      }
    };
    for (int i = 0; i < 400; ++i) {
      // Levels that last a while, of random length, so that the ladder has time to move.
      if (random() % 20 == 0) delay = static_cast<double>(random() % 20);
      if (random() % 40 == 0) memory = static_cast<double>(random() % 100) / 100;
      step();
      if (HasFatalFailure()) return;
    }
    EXPECT_GE(up, down);
    delay = memory = 0;
    const double calm_from = now;
    while (rung > 0 && now < calm_from + 1000) {
      step();
      if (HasFatalFailure()) return;
    }
    EXPECT_EQ(ladder.rung(), Rung::kNormal);
    EXPECT_LE(now - calm_from, (kRungs - 1) * (kOptions.step_down_seconds + 1));
    EXPECT_TRUE(up == down) << rising;
  }
}

TEST(PressureMonitor, KeepsTheLadderUpToDate) {
  LadderOptions options = kOptions;
  options.step_up_seconds = 0;
  DegradationLadder ladder(options);
  const PressureMonitor monitor(
      ladder, [] { return waiting_for(11); }, 0, std::chrono::milliseconds(1));
  EXPECT_GT(monitor.memory().resident_bytes, 0u) << "from the start on";
  const auto give_up = Clock::now() + std::chrono::seconds(10);
  while (ladder.rung() != Rung::kRefuseAll && Clock::now() < give_up) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(ladder.rung(), Rung::kRefuseAll);
}

TEST(MemoryWatch, ItsOwnLimitOrTheMachines) {
  const Clock::time_point now = Clock::now();
  MemoryWatch machine(0);
  const ProcessMemory use = machine.read(now);
  EXPECT_GT(use.resident_bytes, 0u);
  EXPECT_GT(use.limit_bytes, use.resident_bytes);
  EXPECT_GT(use.use, 0);
  EXPECT_LE(use.use, 1);

  MemoryWatch limited(2 * use.resident_bytes);
  EXPECT_NEAR(limited.read(now).use, 0.5, 0.2);
  const std::vector<char> more(use.resident_bytes + (32 << 20), 1);
  EXPECT_LT(limited.read(now + std::chrono::milliseconds(249)).use, 0.8) << "not read again yet";
  EXPECT_GT(limited.read(now + std::chrono::milliseconds(251)).use, 0.9) << more.size();
}

}  // namespace
}  // namespace ridgeline
