#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ridgeline {

/// Walks over the fields of one protobuf message (protobuf.dev, "Encoding"). Untrusted
/// input: never reads past the end. Groups, which no schema of today has, are an error.
class ProtobufReader {
 public:
  explicit ProtobufReader(std::string_view message) : message_(message) {}

  enum class WireType : std::uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };
  struct Field {
    std::uint32_t number;
    WireType wire_type;
    std::uint64_t integer;   ///< of a varint or fixed field
    std::string_view bytes;  ///< of strings and messages
  };

  /// False at the end, and where the message is damaged: then ok() is false.
  bool next(Field& field);
  bool ok() const { return is_ok_; }
  std::size_t offset() const { return at_; }

 private:
  bool read_field(Field& field);
  bool read_varint(std::uint64_t& value);
  bool read_fixed(std::size_t num_bytes, std::uint64_t& value);

  std::string_view message_;
  std::size_t at_ = 0;
  bool is_ok_ = true;
};

}  // namespace ridgeline
