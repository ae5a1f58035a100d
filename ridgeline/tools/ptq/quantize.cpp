#include "ridgeline/tools/ptq/quantize.h"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <utility>

#include "ridgeline/format/gguf.h"
#include "ridgeline/format/hugging_face.h"
#include "ridgeline/format/stack_experts.h"
#include "ridgeline/platform/mapped_file.h"
#include "ridgeline/platform/topology.h"
#include "ridgeline/tools/ptq/gguf_metadata.h"

namespace ridgeline::ptq {
namespace {

namespace fs = std::filesystem;

/// Writing over what is still being read would destroy both.
Status check_target(const Checkpoint& model, const std::string& target) {
  std::error_code error;
  if (!fs::exists(target, error)) return {};
  if (fs::is_directory(target, error))
    return fail(fmt::format("{}: is a folder, expected the name of a GGUF file to write", target));
  const auto file = MappedFile::open(target);
  if (!file) return {};  // an empty file, or one that may be written and not read
  for (const FileIdentity& source : model.identities())
    if (source.device == file->identity().device && source.inode == file->identity().inode)
      return fail(fmt::format(
          "{}: is the model that is read; expected another name for the new file", target));
  return {};
}

}  // namespace

Result<QuantizeJob> QuantizeJob::open(QuantizeOptions options) {
  QuantizeJob job;
  job.options_ = std::move(options);
  const QuantizeOptions& o = job.options_;
  job.options_.types.importance = o.method.kind != MethodKind::kNearest;
  std::error_code error;
  const bool is_folder = fs::is_directory(o.source, error);
  RIDGELINE_TRY(Checkpoint model, is_folder ? open_hugging_face(o.source) : open_gguf(o.source));
  RIDGELINE_TRY(model, stack_experts(std::move(model)));
  job.model_ = std::make_unique<const Checkpoint>(std::move(model));
  RIDGELINE_TRY_STATUS(check_target(*job.model_, o.target));
  RIDGELINE_TRY(job.plan_, QuantizePlan::make(*job.model_, o.types, o.requantize));
  if (is_folder) {
    RIDGELINE_TRY(job.described_, export_folder(*job.model_, o.source));
  } else {
    job.described_.metadata.assign(job.model_->metadata().begin(), job.model_->metadata().end());
  }
  return job;
}

std::vector<std::string> QuantizeJob::notes() const {
  std::vector<std::string> all = described_.notes;
  all.insert(all.end(), notes_.begin(), notes_.end());
  return all;
}

Result<QuantizeReport> QuantizeJob::run(const ConvertControl& control) {
  const auto start = std::chrono::steady_clock::now();
  ThreadPool threads(options_.threads > 0 ? options_.threads : topology().default_threads());
  RIDGELINE_TRY(const std::unique_ptr<Method> method,
                make_method(options_.method, *model_, threads));
  const GgufMetadata metadata = quantized_metadata(described_.metadata, plan_);
  QuantizeReport report;
  RIDGELINE_TRY(report.tensors,
                convert(*model_, plan_, metadata, options_.target, *method, threads, control));
  notes_ = method->notes();
  report.source = options_.source;
  report.target = options_.target;
  report.type = plan_.type_name();
  report.method = method->name();
  report.calibration =
      options_.method.calibration.empty() ? options_.method.imatrix : options_.method.calibration;
  report.source_bytes = model_->file_bytes();
  std::error_code error;
  report.target_bytes = fs::file_size(options_.target, error);
  report.bits_per_weight = plan_.bits_per_weight();
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace ridgeline::ptq
