#include "ridgeline/text/protobuf_reader.h"

namespace ridgeline {

bool ProtobufReader::next(Field& field) {
  if (!is_ok_ || at_ == message_.size()) return false;
  is_ok_ = read_field(field);
  return is_ok_;
}

bool ProtobufReader::read_field(Field& field) {
  std::uint64_t tag = 0;
  if (!read_varint(tag) || (tag >> 3) == 0 || (tag >> 3) > 0x1FFFFFFF) return false;
  field = {static_cast<std::uint32_t>(tag >> 3), static_cast<WireType>(tag & 7), 0, {}};
  switch (field.wire_type) {
    case WireType::kVarint:
      return read_varint(field.integer);
    case WireType::kFixed64:
      return read_fixed(8, field.integer);
    case WireType::kFixed32:
      return read_fixed(4, field.integer);
    case WireType::kBytes: {
      std::uint64_t size = 0;
      if (!read_varint(size) || size > message_.size() - at_) return false;
      field.bytes = message_.substr(at_, size);
      at_ += size;
      return true;
    }
  }
  return false;
}

bool ProtobufReader::read_varint(std::uint64_t& value) {
  value = 0;
  for (unsigned shift = 0; shift < 64 && at_ < message_.size(); shift += 7) {
    const auto byte = static_cast<unsigned char>(message_[at_++]);
    value |= std::uint64_t{byte & 0x7Fu} << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

bool ProtobufReader::read_fixed(std::size_t num_bytes, std::uint64_t& value) {
  if (message_.size() - at_ < num_bytes) return false;
  value = 0;
  for (std::size_t i = 0; i < num_bytes; ++i) {
    value |= std::uint64_t{static_cast<unsigned char>(message_[at_ + i])} << (8 * i);
  }
  at_ += num_bytes;
  return true;
}

}  // namespace ridgeline
