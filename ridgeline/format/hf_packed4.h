#pragma once

#include <map>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/format/hf_quantization.h"
#include "ridgeline/format/safetensors.h"
#include "ridgeline/tensor/tensor_view.h"

namespace ridgeline {

// A matrix of a GPTQ or AWQ checkpoint. Both write what is [outputs][inputs] elsewhere the
// other way round, in words of eight levels of 4 bits, lowest bits first:
//
//             GPTQ                              AWQ ("gemm")
//   qweight   [in / 8][out], inputs 8w ..       [in][out / 8], outputs 8w + 0 2 4 6 1 3 5 7
//   qzeros    [groups][out / 8], outputs 8w ..  [groups][out / 8], outputs 8w + 0 2 4 6 1 3 5 7
//   scales    [groups][out]                     [groups][out]
//   g_idx     [in]: the group of each input     input / group size
//
//   weight[o][i] = scales[g][o] · (level[o][i] - zero[g][o]),  g the group of input i
//
// In GPTQ's first format the words of qzeros are stored less 0x11111111: each zero less one,
// borrowing from the one above it.

/// Its tensors; the order of columns may be absent (null).
struct Packed4Tensors {
  const StoredTensor* qweight = nullptr;
  const StoredTensor* qzeros = nullptr;
  const StoredTensor* scales = nullptr;
  const StoredTensor* g_idx = nullptr;
};

/// Orders of inputs that matrices have in common.
using InputOrders = std::map<std::vector<std::int32_t>, InputOrder>;

/// The matrix in rows of INT4_128, INT4_64 or INT4_32, the largest groups that its own divide
/// into; every weight is the checkpoint's, exactly. Where a group's inputs do not lie side by
/// side, the view has an input_order. Errors name the tensor: dtypes and shapes that are not
/// as above, groups that do not divide the inputs or are no multiples of 32, a g_idx beyond
/// the groups, a BF16 scale that F16 does not hold.
Result<TensorView> packed4(const Packed4Tensors& tensors, const HfQuantization& quantization,
                           InputOrders& orders, const std::string& path);

}  // namespace ridgeline
