#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/engine/engine.h"
#include "ridgeline/tools/bench_model.h"
#include "ridgeline/tools/report/section.h"

// `ridgeline bench roofline`: where prefill, decode and batches of streams stand under the
// machine's measured roofs.

namespace ridgeline {

/// Tokens of the prompt by which is estimated what the rest will take.
inline constexpr std::int64_t kRooflinePilotTokens = 16;

struct RooflineOptions {
  std::vector<std::int64_t> prompts{16, 64, 256, 512};
  std::vector<std::int64_t> depths{0, 512, 2048};
  std::vector<int> streams{1, 2, 4, 8, 16, 32};
  bool pin = true;      ///< threads to CPUs, as the engine does
  double seconds = 30;  ///< about, loading not counted
  /// Called with every finished line; may be empty.
  std::function<void(const Measurement&)> after_each{};
};

/// A workload, and which of the three curves it belongs to.
struct RooflineWork {
  enum class Kind { kPrefill, kDecode, kStreams };
  Kind kind = Kind::kPrefill;
  Workload work{};
};
std::string name(RooflineWork::Kind kind);       ///< "prefill", "decode", "streams"
std::string describe(const RooflineWork& work);  ///< "512 tokens", "depth 2048", "8 streams"

/// What the options ask for, as far as `context` tokens allow.
std::vector<RooflineWork> roofline_works(const RooflineOptions& options, std::int64_t context);

struct RooflineReport {
  std::string model, types, isa;
  int threads = 0;
  bool weights_fit_in_cache = false;
  double one_thread_bytes_per_second = 0;
  struct Line {
    RooflineWork work;
    Measurement measured;

    double ops_per_second() const;
    /// The most at its intensity and mixture of operations, by the roofs measured beside it.
    double roof_ops_per_second() const;
  };
  std::vector<Line> lines;
  std::vector<std::string> notes;  ///< what was left out, and why

  /// The least and the most that memory gave beside the lines, and the median of their peaks.
  double least_bytes_per_second() const, most_bytes_per_second() const;
  Ceilings peaks() const;
  /// Kinds of arithmetic that the lines' operations are of.
  std::vector<Arithmetic> arithmetics() const;
};

/// What fits in options.seconds is measured, by what a short prompt and a token take; the notes
/// name the rest. The engine has room for as many streams and positions as the works need.
Result<RooflineReport> measure_roofline(Engine& engine, const ModelCost& cost,
                                        const std::vector<RooflineWork>& works,
                                        const RooflineOptions& options);

/// The drawing: both axes logarithmic, roofs as lines.
report::Plot roofline_plot(const RooflineReport& report);
report::Table roofline_table(const RooflineReport& report);
/// Puts figures, drawing, table and the data into the section.
void add_roofline(const RooflineReport& report, report::Section& section);
nlohmann::ordered_json to_json(const RooflineReport& report);

}  // namespace ridgeline
