#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "ridgeline/text/grammar/schema_algebra.h"

namespace ridgeline::grammar {

/// Where a schema, or a constant, stands. `resource` is what "#" means there.
struct SchemaPlace {
  const nlohmann::json* value = nullptr;
  const nlohmann::json* resource = nullptr;
  std::string pointer;  ///< in the document, for sentences
  bool is_constant = false;

  SchemaPlace below(const std::string& key) const;
  SchemaPlace below(std::size_t index) const;
  [[noreturn]] void refuse(const std::string& keyword, const std::string& why) const;
  const nlohmann::json* find(const char* keyword) const;
  bool has(const char* keyword) const { return find(keyword) != nullptr; }
  /// Refused: another type than the keyword's.
  const nlohmann::json* find_object(const char* keyword) const;
  const nlohmann::json* find_array(const char* keyword) const;
  std::uint64_t count(const char* keyword, std::uint64_t otherwise) const;
};

/// Reads the schemas of one document, each when the algebra asks for it.
class SchemaReader : public LeafReader {
 public:
  SchemaReader(const nlohmann::json& document, Budget& budget);

  SchemaAlgebra& algebra() { return algebra_; }
  ExprId root();
  Normal read(std::uint32_t leaf) override;

  // For the parts of the reader (schema_types.cpp):
  ExprId expr(const SchemaPlace& place);
  ExprId constant(const SchemaPlace& place);
  Budget& budget() { return budget_; }
  /// Made once each, as schemas repeat them.
  DfaPtr pattern(const std::string& regex, const std::string& what);
  DfaPtr length(std::uint64_t min, std::uint64_t max);

 private:
  Normal read_schema(const SchemaPlace& place);
  ExprId applicators(const SchemaPlace& place);
  ExprId dependencies(const SchemaPlace& place, const char* keyword);
  ExprId made(Normal normal);
  ExprId with_property(const std::string& name, ExprId value, bool is_required);
  Normal one_of(const SchemaPlace& place);
  ExprId reference(const SchemaPlace& place);
  SchemaPlace follow(SchemaPlace from, std::string_view pointer, const SchemaPlace& place) const;
  void collect_anchors(const nlohmann::json& value, const nlohmann::json& resource,
                       const std::string& pointer, int depth);

  struct Leaf {
    SchemaPlace place;
    std::shared_ptr<const Normal> normal;  ///< of one that has no place
  };
  const nlohmann::json& document_;
  Budget& budget_;
  SchemaAlgebra algebra_;
  bool refs_stand_alone_ = false;  ///< drafts up to 7 ignore what stands beside a $ref
  std::vector<Leaf> leaves_;
  std::map<std::pair<const nlohmann::json*, bool>, std::uint32_t> numbers_;
  std::map<std::string, DfaPtr> patterns_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, DfaPtr> lengths_;
  std::map<std::string, SchemaPlace> resources_;  ///< by $id
  std::map<std::pair<const nlohmann::json*, std::string>, SchemaPlace> anchors_;
};

/// What a schema's keywords for single types say, enum and const included.
Normal read_types(SchemaReader& reader, const SchemaPlace& place);
Normal read_constant(SchemaReader& reader, const SchemaPlace& place);
/// Refuses keywords of the standard that are not supported.
void check_keywords(const SchemaPlace& place);

/// The texts that a format allows (some of them, where telling all would take too much), and
/// those that it may allow. Null members: no draft of JSON schema defines the format, or
/// it is one that is not supported.
Language format_language(std::string_view name, bool& is_supported, Budget& budget);

/// What is reachable from `root`, without what cannot be completed. Refused: nothing can.
JsonGrammar finish_json(SchemaAlgebra& algebra, ExprId root, Budget& budget);

}  // namespace ridgeline::grammar
