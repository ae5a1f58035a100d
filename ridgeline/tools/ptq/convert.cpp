#include "ridgeline/tools/ptq/convert.h"

#include <fmt/format.h>

#include <chrono>

#include "ridgeline/base/check.h"
#include "ridgeline/tools/ptq/plain_method.h"
#include "ridgeline/tools/ptq/row_stream.h"

namespace ridgeline::ptq {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::vector<GgufTensorInfo> infos_of(const QuantizePlan& plan) {
  std::vector<GgufTensorInfo> infos;
  for (const PlannedTensor& t : plan.tensors())
    infos.push_back({t.source->name, t.type, t.source->shape});
  return infos;
}

}  // namespace

Result<std::vector<TensorReport>> convert(const Checkpoint& model, const QuantizePlan& plan,
                                          const GgufMetadata& metadata, const std::string& target,
                                          Method& method, ThreadPool& threads,
                                          const ConvertControl& control) {
  RIDGELINE_TRY(GgufWriter writer, GgufWriter::create(target, metadata, infos_of(plan)));
  RowStream rows(model, threads);
  PlainMethod exact(model, threads);
  const double total = static_cast<double>(plan.bytes());
  std::size_t written = 0;
  const Method::Append append = [&](std::span<const std::byte> bytes) -> Status {
    if (control.stop != nullptr && control.stop->load())
      return fail(fmt::format("{}: was interrupted, and nothing was written", target));
    RIDGELINE_TRY_STATUS(writer.append(bytes));
    written += bytes.size();
    if (control.progress) control.progress(static_cast<double>(written) / total);
    return {};
  };

  std::vector<TensorReport> reports;
  for (const PlannedTensor& t : plan.tensors()) {
    const auto start = Clock::now();
    const std::size_t before = written;
    TensorReport report;
    report.name = t.source->name;
    report.from = t.source->dtype;
    report.to = t.type;
    report.shape = t.source->shape;
    report.bytes = t.bytes();
    if (!t.changes())
      RIDGELINE_TRY_STATUS(rows.copy(*t.source, append));
    else
      RIDGELINE_TRY_STATUS((t.is_rounded() ? method : exact).quantize(t, append, report.quality));
    RIDGELINE_CHECK(written - before == report.bytes);
    report.seconds = seconds_since(start);
    reports.push_back(std::move(report));
  }
  RIDGELINE_TRY_STATUS(writer.finish());
  return reports;
}

}  // namespace ridgeline::ptq
