#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ridgeline/base/result.h"
#include "ridgeline/platform/file_descriptor.h"

namespace ridgeline::hub {

/// A file that comes in pieces, from several connections at once, and over several starts
/// of the program. Behind the content stands how much of each segment is there, written after
/// it: a process that is killed loses a few pieces and never claims one too many. (What a
/// power cut loses is found by the checksum.)
///
///     content: SIZE bytes | "RLPART01" SIZE SEGMENT_BYTES | bytes there, for each segment
class PartFile {
 public:
  /// Goes on with what lies at `path` if it is a part of a file of this size, in segments of
  /// this size; begins otherwise. Takes the disk space at once. The size is not 0.
  static Result<PartFile> open(const std::string& path, std::uint64_t size,
                               std::uint64_t segment_bytes);

  std::uint64_t size() const { return size_; }
  std::size_t num_segments() const { return there_.size(); }
  std::uint64_t begin(std::size_t segment) const { return segment * segment_bytes_; }
  std::uint64_t end(std::size_t segment) const;
  /// How many bytes from its beginning are there.
  std::uint64_t there(std::size_t segment) const { return there_[segment]; }
  bool is_done(std::size_t segment) const {
    return there(segment) == end(segment) - begin(segment);
  }
  std::uint64_t bytes_there() const;
  /// Up to where everything is there, from `offset` on, which lies in what is there.
  std::uint64_t there_until(std::uint64_t offset) const;

  /// May be called by several threads, for ranges that do not overlap.
  Status write(std::uint64_t offset, std::span<const std::byte> bytes) const;
  Status read(std::uint64_t offset, std::span<std::byte> bytes) const;
  /// Notes that these bytes are there, as those before them in their segment are.
  Status note(std::uint64_t offset, std::uint64_t bytes);
  /// Sends a range on its way to the disk, so that publish() has less to wait for.
  void begin_writeback(std::uint64_t begin, std::uint64_t end) const;
  /// Forgets everything.
  Status restart();
  /// To disk, without what stands behind the content, under its name.
  Status publish(const std::string& path);
  void remove() const;

 private:
  PartFile(FileDescriptor fd, std::string path, std::uint64_t size, std::uint64_t segment_bytes);
  bool read_notes();
  Status write_notes() const;

  FileDescriptor fd_;
  std::string path_;
  std::uint64_t size_, segment_bytes_;
  std::vector<std::uint64_t> there_;
};

}  // namespace ridgeline::hub
