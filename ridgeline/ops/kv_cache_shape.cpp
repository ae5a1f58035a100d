#include <algorithm>

#include "ridgeline/ops/backend.h"

namespace ridgeline {

std::int64_t KvCacheShape::window(int layer) const {
  return layer_windows.empty() ? 0 : layer_windows[static_cast<std::size_t>(layer)];
}

std::vector<std::int64_t> KvCacheShape::windows() const {
  std::vector<std::int64_t> all;
  for (int layer = 0; layer < layers; ++layer)
    if (std::ranges::find(all, window(layer)) == all.end()) all.push_back(window(layer));
  return all;
}

int KvCacheShape::group(int layer) const {
  const std::vector<std::int64_t> all = windows();
  return static_cast<int>(std::ranges::find(all, window(layer)) - all.begin());
}

int KvCacheShape::layers_of(int group) const {
  const std::int64_t wanted = windows()[static_cast<std::size_t>(group)];
  int count = 0;
  for (int layer = 0; layer < layers; ++layer) count += window(layer) == wanted ? 1 : 0;
  return count;
}

int KvCacheShape::blocks_of(int group) const {
  return group_blocks.empty() ? blocks : group_blocks[static_cast<std::size_t>(group)];
}

}  // namespace ridgeline
