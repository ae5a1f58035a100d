#pragma once

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "ridgeline/quant/block_format.h"

// Just enough of GGUF to take trained matrices out of a file that is known to be good; the
// real reader (format/) stands above this floor.
namespace ridgeline {

struct Matrix {
  std::string name;
  std::int64_t rows, cols;
  std::vector<float> w;
};

class GgufMatrices {
 public:
  /// All matrices of two dimensions; empty if there is no such file.
  static std::vector<Matrix> read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return {};
    GgufMatrices reader;
    reader.bytes_ = {std::istreambuf_iterator<char>(file), {}};
    return reader.matrices();
  }

 private:
  struct Entry {
    std::string name;
    std::vector<std::uint64_t> dims;
    std::uint32_t type;
    std::uint64_t offset;
  };

  template <class T>
  T take() {
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }
  std::string take_string() {
    const auto length = static_cast<std::size_t>(take<std::uint64_t>());
    at_ += length;
    return bytes_.substr(at_ - length, length);
  }
  void skip(std::uint32_t type) {
    constexpr std::size_t kBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    if (type == 8) {
      take_string();
    } else if (type == 9) {
      const auto element = take<std::uint32_t>();
      for (auto n = take<std::uint64_t>(); n > 0; --n) skip(element);
    } else {
      at_ += kBytes[type];
    }
  }

  std::vector<Matrix> matrices() {
    at_ = 8;  // the magic number and the version
    const auto tensors = take<std::uint64_t>(), keys = take<std::uint64_t>();
    std::size_t alignment = 32;
    for (std::uint64_t i = 0; i < keys; ++i) {
      const std::string key = take_string();
      const auto type = take<std::uint32_t>();
      if (key == "general.alignment")
        alignment = take<std::uint32_t>();
      else
        skip(type);
    }
    std::vector<Entry> entries(static_cast<std::size_t>(tensors));
    for (Entry& entry : entries) {
      entry.name = take_string();
      entry.dims.resize(take<std::uint32_t>());
      for (std::uint64_t& dim : entry.dims) dim = take<std::uint64_t>();
      entry.type = take<std::uint32_t>();
      entry.offset = take<std::uint64_t>();
    }
    const std::size_t data = (at_ + alignment - 1) / alignment * alignment;
    std::vector<Matrix> out;
    for (const Entry& entry : entries) {
      const auto type = dtype_from_gguf(entry.type);
      if (entry.dims.size() != 2 || !type) continue;
      Matrix m{entry.name,
               static_cast<std::int64_t>(entry.dims[1]),
               static_cast<std::int64_t>(entry.dims[0]),
               {}};
      m.w.resize(static_cast<std::size_t>(m.rows * m.cols));
      const auto* from = reinterpret_cast<const std::byte*>(bytes_.data()) + data + entry.offset;
      decode(*type, from, m.rows * m.cols, m.w.data());
      out.push_back(std::move(m));
    }
    return out;
  }

  std::string bytes_;
  std::size_t at_ = 0;
};

}  // namespace ridgeline
