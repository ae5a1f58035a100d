#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "ridgeline/text/grammar/program.h"

namespace ridgeline::grammar {

/// The names of an object's properties so far, or the items of an array whose items differ.
/// Newest first, shared between the states that came from one.
struct Seen {
  std::string text;
  std::shared_ptr<const Seen> before;
  std::uint32_t count = 1;
  std::uint64_t hash = 0;  ///< of the set: does not depend on the order
  ~Seen();
};
using SeenPtr = std::shared_ptr<const Seen>;

/// One level of a stack: an object or array that is open, or where a rule goes on.
struct Frame {
  enum class Kind : std::uint8_t { kReturn, kObject, kArray };
  Kind kind = Kind::kReturn;
  std::uint32_t depth = 1;
  const Program* program = nullptr;
  /// kReturn: the production and the position in it; else the shape and how many members it
  /// has, as far as it matters.
  std::uint32_t index = 0, position = 0;
  std::array<std::uint64_t, 4> fulfilled{};  ///< obligations; witnesses
  SeenPtr seen;
  std::shared_ptr<const Frame> below;
  std::uint64_t hash = 0;  ///< of this and all below
};
using FramePtr = std::shared_ptr<const Frame>;

/// Deeper is not gone: neither brackets nor rules.
inline constexpr std::uint32_t kDepthMax = 600;
/// More names of one object, or unique items of an array, are not written.
inline constexpr std::uint32_t kSeenMax = 4096;

/// Fills in depth and hash.
FramePtr finished(Frame frame);
SeenPtr with(const SeenPtr& before, std::string text);
bool contains(const Seen* seen, std::string_view text);

const JsonObject& object_of(const Frame& frame);
const JsonArray& array_of(const Frame& frame);
std::uint32_t num_seen(const Frame& frame);
bool is_fulfilled(const Frame& frame, std::uint32_t bit);
std::uint32_t num_fulfilled(const Frame& frame);
/// Obligations, or witnesses, that nothing has fulfilled yet.
std::uint32_t num_open(const Frame& frame);
/// Whether only what an obligation asks for may come.
bool is_tight(const Frame& object);
bool may_have_another_key(const Frame& object);
bool may_have_another_item(const Frame& array);
/// The number of items beyond which it does not matter how many there are.
std::uint32_t count_cap(const JsonArray& array);

std::uint64_t mix(std::uint64_t a, std::uint64_t b);
std::uint64_t hash_of(std::string_view text);
std::uint64_t pointer_hash(const void* pointer);

}  // namespace ridgeline::grammar
