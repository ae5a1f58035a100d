#include "ridgeline/kernels/impl/attention_dots.h"
#include "ridgeline/kernels/impl/isa_entry.h"

namespace ridgeline::avx512vnni {

std::size_t attention_scratch_floats(int head_dim, int value_dim, bool latent) {
  return scratch_floats<InBytes>(head_dim, value_dim, latent);
}

void attention_span(const AttentionSpan& span) {
  if (span.kv_dtype == DType::kQ8_0)
    attend_span<InBytes>(span);
  else
    avx512::kAttention.span(span);
}

}  // namespace ridgeline::avx512vnni
