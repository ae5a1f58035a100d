#include "ridgeline/kernels/impl/attention_span.h"
#include "ridgeline/kernels/impl/isa_entry.h"

void ridgeline::avx512::attend_q8(const AttentionSpan& span) {
  attend_span<InFloats<KvRows<DType::kQ8_0>>>(span);
}
