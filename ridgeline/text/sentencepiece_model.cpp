#include "ridgeline/text/sentencepiece_model.h"

#include <fmt/format.h>

#include <bit>
#include <cstdint>
#include <optional>
#include <string>

#include "ridgeline/text/protobuf_reader.h"

namespace ridgeline {
namespace {

using Field = ProtobufReader::Field;
using WireType = ProtobufReader::WireType;

// Field numbers and defaults are those of sentencepiece_model.proto.

struct TrainerSpec {
  enum class ModelType : std::uint64_t { kUnigram = 1, kBpe = 2, kWord = 3, kChar = 4 };
  std::uint64_t model_type = 1;
  bool treat_whitespace_as_suffix = false;
  std::int32_t unk_id = 0, bos_id = 1, eos_id = 2, pad_id = -1;
};

struct NormalizerSpec {
  std::string_view precompiled_charsmap;
  bool add_dummy_prefix = true, remove_extra_whitespaces = true, escape_whitespaces = true;
};

tl::unexpected<Error> damaged(std::string_view what, const ProtobufReader& reader) {
  return fail(
      fmt::format("the SentencePiece model's {} is damaged at byte {} of it; expected a "
                  "protobuf message",
                  what, reader.offset()));
}

tl::unexpected<Error> wrong_type(std::string_view what, const Field& field) {
  return fail(fmt::format("the SentencePiece model's {} has field {} with wire type {}", what,
                          field.number, static_cast<int>(field.wire_type)));
}

// Calls visit(field) for each field of `message`; visit says whether the field has the
// type that the schema gives it.
template <class Visit>
Status for_each_field(std::string_view what, std::string_view message, Visit&& visit) {
  ProtobufReader reader(message);
  for (Field field; reader.next(field);) {
    if (!visit(field)) return wrong_type(what, field);
  }
  if (!reader.ok()) return damaged(what, reader);
  return {};
}

bool read(const Field& field, bool& value) {
  value = field.integer != 0;
  return field.wire_type == WireType::kVarint;
}
bool read(const Field& field, std::uint64_t& value) {
  value = field.integer;
  return field.wire_type == WireType::kVarint;
}
bool read(const Field& field, std::int32_t& value) {
  // A negative int32 is written as 64 bits.
  value = static_cast<std::int32_t>(static_cast<std::uint32_t>(field.integer));
  return field.wire_type == WireType::kVarint;
}
bool read(const Field& field, float& value) {
  value = std::bit_cast<float>(static_cast<std::uint32_t>(field.integer));
  return field.wire_type == WireType::kFixed32;
}
bool read(const Field& field, std::string_view& value) {
  value = field.bytes;
  return field.wire_type == WireType::kBytes;
}

Status read_piece(std::string_view message, VocabularyData& data) {
  std::string_view text;
  float score = 0;
  std::uint64_t type = 1;
  RIDGELINE_TRY_STATUS(for_each_field("piece", message, [&](const Field& field) {
    switch (field.number) {
      case 1:
        return read(field, text);
      case 2:
        return read(field, score);
      case 3:
        return read(field, type);
      default:
        return true;
    }
  }));
  if (type < 1 || type > 6) {
    return fail(fmt::format("the SentencePiece model's piece {}, {}, has type {}; expected 1 to 6",
                            data.tokens.size(), quoted(text), type));
  }
  data.tokens.emplace_back(text);
  data.scores.push_back(score);
  data.types.push_back(static_cast<VocabularyData::TokenType>(type));  // GGUF's numbers are these
  return {};
}

Status read_trainer_spec(std::string_view message, TrainerSpec& spec) {
  return for_each_field("trainer_spec", message, [&spec](const Field& field) {
    switch (field.number) {
      case 3:
        return read(field, spec.model_type);
      case 24:
        return read(field, spec.treat_whitespace_as_suffix);
      case 40:
        return read(field, spec.unk_id);
      case 41:
        return read(field, spec.bos_id);
      case 42:
        return read(field, spec.eos_id);
      case 43:
        return read(field, spec.pad_id);
      default:
        return true;
    }
  });
}

Status read_normalizer_spec(std::string_view message, NormalizerSpec& spec) {
  return for_each_field("normalizer_spec", message, [&spec](const Field& field) {
    switch (field.number) {
      case 2:
        return read(field, spec.precompiled_charsmap);
      case 3:
        return read(field, spec.add_dummy_prefix);
      case 4:
        return read(field, spec.remove_extra_whitespaces);
      case 5:
        return read(field, spec.escape_whitespaces);
      default:
        return true;
    }
  });
}

// The specs name ids also for tokens that the model does not have.
std::optional<TokenId> id_of_type(const VocabularyData& data, std::int32_t id,
                                  VocabularyData::TokenType type) {
  if (id < 0 || static_cast<std::size_t>(id) >= data.tokens.size() || data.type(id) != type)
    return std::nullopt;
  return id;
}

Result<VocabularyData::Kind> kind_of(const TrainerSpec& trainer, const NormalizerSpec& normalizer) {
  if (trainer.treat_whitespace_as_suffix) {
    return fail(
        "the SentencePiece model has treat_whitespace_as_suffix, which is not supported; expected "
        "spaces in front of words");
  }
  if (!normalizer.escape_whitespaces) {
    return fail(
        "the SentencePiece model has no escape_whitespaces; expected one that writes spaces as "
        "U+2581");
  }
  switch (static_cast<TrainerSpec::ModelType>(trainer.model_type)) {
    case TrainerSpec::ModelType::kUnigram:
      return VocabularyData::Kind::kUnigram;
    case TrainerSpec::ModelType::kBpe:
      return VocabularyData::Kind::kSentencePieceBpe;
    case TrainerSpec::ModelType::kWord:
      return fail("the SentencePiece model is of type WORD; expected UNIGRAM or BPE");
    case TrainerSpec::ModelType::kChar:
      return fail("the SentencePiece model is of type CHAR; expected UNIGRAM or BPE");
  }
  return fail(
      fmt::format("the SentencePiece model's model_type is {}; expected 1 (UNIGRAM) or 2 "
                  "(BPE)",
                  trainer.model_type));
}

}  // namespace

Result<VocabularyData> read_sentencepiece_model(std::string_view bytes) {
  using Type = VocabularyData::TokenType;
  VocabularyData data;
  TrainerSpec trainer;
  NormalizerSpec normalizer;
  ProtobufReader reader(bytes);
  for (Field field; reader.next(field);) {
    if (field.number < 1 || field.number > 3) continue;
    if (field.wire_type != WireType::kBytes) return wrong_type("ModelProto", field);
    switch (field.number) {
      case 1:
        RIDGELINE_TRY_STATUS(read_piece(field.bytes, data));
        break;
      case 2:
        RIDGELINE_TRY_STATUS(read_trainer_spec(field.bytes, trainer));
        break;
      default:
        RIDGELINE_TRY_STATUS(read_normalizer_spec(field.bytes, normalizer));
    }
  }
  if (!reader.ok()) return damaged("ModelProto", reader);
  if (data.tokens.empty()) return fail("the SentencePiece model has no pieces; expected some");
  RIDGELINE_TRY(data.kind, kind_of(trainer, normalizer));
  data.unknown = id_of_type(data, trainer.unk_id, Type::kUnknown);
  data.bos = id_of_type(data, trainer.bos_id, Type::kControl);
  data.eos = id_of_type(data, trainer.eos_id, Type::kControl);
  data.padding = id_of_type(data, trainer.pad_id, Type::kControl);
  data.add_space_prefix = normalizer.add_dummy_prefix;
  data.remove_extra_whitespaces = normalizer.remove_extra_whitespaces;
  data.precompiled_charsmap = normalizer.precompiled_charsmap;
  return data;
}

}  // namespace ridgeline
