#pragma once

#include <cstddef>

namespace ridgeline {

class ThreadPool;

/// Bytes per second at which the pool's threads read main memory by a plain sum over a
/// buffer that no cache holds: what decode, which reads every weight once a token, can
/// at best reach. The best of the passes that fit in about `seconds`, the filling of the
/// buffer included; at least two passes run however long they take. 0 if there is no
/// memory for the buffer. Memory may be bistable, so a figure is worth comparing only
/// with one taken beside it. `buffer_bytes_max` keeps the buffer small where that counts
/// for more than a last-level cache that may flatter the figure.
double measure_read_bandwidth(ThreadPool& pool, double seconds,
                              std::size_t buffer_bytes_max = std::size_t{256} << 20);

}  // namespace ridgeline
