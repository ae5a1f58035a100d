#include <algorithm>
#include <map>
#include <unordered_map>

#include "ridgeline/text/grammar/schema_reader.h"

namespace ridgeline::grammar {
namespace {

constexpr std::size_t kValuesMax = 20000;

// Walks over all expressions that values below the root can have to satisfy, finds by a least
// fixed point which of them some finite value satisfies, and writes what is left in the form
// that is run.
class Finisher {
 public:
  Finisher(SchemaAlgebra& algebra, Budget& budget) : algebra_(algebra), budget_(budget) {}

  JsonGrammar run(ExprId root) {
    number_of(root);
    for (std::size_t i = 0; i < exprs_.size(); ++i) {
      normals_.push_back(algebra_.normal(exprs_[i]));
      for (const auto& shape : normals_[i].arrays) visit(*shape);
      for (const auto& shape : normals_[i].objects) visit(*shape);
    }
    find_possible();
    if (!possible_[0]) refuse("the schema allows no value");
    write();
    return std::move(out_);
  }

 private:
  std::uint32_t number_of(ExprId expr) {
    const auto [at, is_new] = numbers_.emplace(expr, static_cast<std::uint32_t>(exprs_.size()));
    if (is_new) exprs_.push_back(expr);
    if (exprs_.size() > kValuesMax) refuse("the schema has too many different values");
    return at->second;
  }

  // With `extra`: the value that also fulfils an obligation.
  std::uint32_t number_of(ExprId value, ExprId extra) {
    return number_of(algebra_.all_of({value, extra}));
  }

  void visit(const ArrayShape& shape) {
    if (!visited_.emplace(&shape, true).second) return;
    for (std::size_t i = 0; i <= shape.items.prefix.size(); ++i) number_of(shape.items.at(i));
    for (const auto& witness : shape.witnesses) {
      for (std::size_t i = 0; i <= positions(shape); ++i) {
        number_of(shape.items.at(i), witness.at(i));
      }
    }
  }
  void visit(const ObjectShape& shape) {
    if (!visited_.emplace(&shape, true).second) return;
    budget_.spend(shape.classes.size() * 4);
    for (const auto& key_class : shape.classes) {
      number_of(key_class.value);
      for (const auto& [obligation, expr] : key_class.witnesses) number_of(key_class.value, expr);
      for (const auto& [set, expr] : choices(shape, key_class)) number_of(expr);
    }
  }

  // The sets of obligations that one property can fulfil by what its value is, and what that
  // then is. Of more than four at once only single ones and all: fewer texts, no wrong ones.
  std::vector<std::pair<std::vector<std::uint16_t>, ExprId>> choices(
      const ObjectShape& shape, const ObjectShape::KeyClass& key_class) {
    std::vector<std::pair<std::uint16_t, ExprId>> open;
    for (const auto& [obligation, expr] : key_class.witnesses) {
      if (!shape.obligations[obligation].is_named &&
          algebra_.all_of({key_class.value, expr}) != key_class.value) {
        open.emplace_back(static_cast<std::uint16_t>(obligation), expr);
      }
    }
    std::vector<std::pair<std::vector<std::uint16_t>, ExprId>> out;
    if (open.empty()) return out;
    const std::size_t n = open.size();
    const auto add = [&](const auto& is_in) {
      std::vector<std::uint16_t> set;
      std::vector<ExprId> parts{key_class.value};
      for (std::size_t i = 0; i < n; ++i) {
        if (is_in(i)) set.push_back(open[i].first), parts.push_back(open[i].second);
      }
      out.emplace_back(std::move(set), algebra_.all_of(std::move(parts)));
    };
    if (n <= 4) {
      for (std::size_t bits = 1; bits < std::size_t{1} << n; ++bits) {
        add([&](std::size_t i) { return (bits >> i & 1) != 0; });
      }
    } else {
      for (std::size_t one = 0; one < n; ++one) add([&](std::size_t i) { return i == one; });
      add([](std::size_t) { return true; });
    }
    return out;
  }
  // Behind this many items, all are alike.
  static std::size_t positions(const ArrayShape& shape) {
    std::size_t length = shape.items.prefix.size();
    for (const auto& witness : shape.witnesses) length = std::max(length, witness.prefix.size());
    return length;
  }

  bool is_possible(std::uint32_t number) const { return possible_[number]; }

  void find_possible() {
    possible_.assign(exprs_.size(), false);
    for (bool changed = true; changed;) {
      changed = false;
      for (std::size_t i = exprs_.size(); i-- > 0;) {
        if (possible_[i]) continue;
        const Normal& n = normals_[i];
        possible_[i] =
            !n.bare.empty() || !n.string.empty() ||
            std::any_of(n.arrays.begin(), n.arrays.end(), [&](auto& s) { return can_be(*s); }) ||
            std::any_of(n.objects.begin(), n.objects.end(), [&](auto& s) { return can_be(*s); });
        changed = changed || possible_[i];
      }
    }
  }

  // How many items an array may have before one is impossible.
  std::uint64_t length_max(const ArrayShape& shape) {
    const std::size_t length = shape.items.prefix.size();
    for (std::size_t i = 0; i <= length && i < shape.max; ++i) {
      if (!is_possible(number_of(shape.items.at(i)))) return i;
    }
    return shape.max;
  }

  bool can_be(const ArrayShape& shape) {
    budget_.spend(16);
    const std::uint64_t max = length_max(shape);
    if (shape.min > max) return false;
    if (shape.is_unique && shape.min > num_values(shape)) return false;
    for (const auto& witness : shape.witnesses) {
      bool found = false;
      for (std::size_t i = 0; i <= positions(shape) && i < max && !found; ++i) {
        found = is_possible(number_of(shape.items.at(i), witness.at(i)));
      }
      if (!found) return false;
    }
    return shape.witnesses.size() <= max;
  }

  // Of an array of unique items, how many there are, at least.
  std::uint64_t num_values(const ArrayShape& shape) {
    const Normal& n = normals_[number_of(shape.items.rest)];
    const auto count = [](const DfaPtr& dfa) -> std::uint64_t {
      return dfa->empty() ? 0 : dfa->counts[0] == Dfa::kInfinite ? kUnbounded / 4 : dfa->counts[0];
    };
    return shape.items.prefix.size() + count(n.bare.yes) + count(n.string.yes);
  }

  bool can_be(const ObjectShape& shape) {
    budget_.spend(16 + shape.classes.size());
    if (shape.min > shape.max) return false;
    std::vector<bool> met(shape.obligations.size(), false);
    for (const auto& key_class : shape.classes) {
      for (const auto& [obligation, expr] : key_class.witnesses) {
        if (is_possible(number_of(key_class.value, expr))) met[obligation] = true;
      }
    }
    if (std::find(met.begin(), met.end(), false) != met.end()) return false;
    std::uint64_t num_named = 0;
    for (const auto& obligation : shape.obligations) num_named += obligation.is_named;
    if (num_named > shape.max) return false;
    if (shape.min <= num_named) return true;
    const DfaPtr keys = possible_keys(shape);
    return !keys->empty() && (keys->counts[0] == Dfa::kInfinite || keys->counts[0] >= shape.min);
  }

  DfaPtr possible_keys(const ObjectShape& shape) {
    budget_.spend(shape.keys->next.size() + shape.keys->size());
    return relabel(*shape.keys, [&](std::uint32_t label) {
      const auto& key_class = shape.classes[label - 1];
      // A name that is asked for comes with what is asked of it, or not at all.
      bool possible = is_possible(number_of(key_class.value));
      for (const auto& [obligation, expr] : key_class.witnesses) {
        if (shape.obligations[obligation].is_named) {
          possible = possible && is_possible(number_of(key_class.value, expr));
        }
      }
      return possible ? label : 0U;
    });
  }

  void write() {
    std::vector<std::uint32_t> todo;
    const auto value_of = [&](std::uint32_t number) {
      const auto [at, is_new] =
          written_.emplace(number, static_cast<std::uint32_t>(out_.values.size()));
      if (is_new) out_.values.emplace_back(), todo.push_back(number);
      return at->second;
    };
    value_of(0);
    for (std::size_t i = 0; i < todo.size(); ++i) {
      const Normal& n = normals_[todo[i]];
      JsonValue value{n.bare.yes, n.string.yes, {}, {}};
      for (const auto& shape : n.arrays) {
        if (!can_be(*shape)) continue;
        const auto [at, is_new] = shapes_.emplace(shape.get(), out_.arrays.size());
        if (is_new) {
          JsonArray array = write_array(*shape, value_of);
          out_.arrays.push_back(std::move(array));
        }
        value.arrays.push_back(at->second);
      }
      for (const auto& shape : n.objects) {
        if (!can_be(*shape)) continue;
        const auto [at, is_new] = shapes_.emplace(shape.get(), out_.objects.size());
        if (is_new) {
          JsonObject object = write_object(*shape, value_of);
          out_.objects.push_back(std::move(object));
        }
        value.objects.push_back(at->second);
      }
      out_.values[i] = std::move(value);
    }
    for (JsonArray& array : out_.arrays) {
      if (!array.is_unique) continue;
      for (std::uint32_t& item : array.items.prefix) item = spelled_once(item);
      array.items.rest = spelled_once(array.items.rest);
      for (JsonArray::Items& witness : array.witnesses) {
        for (std::uint32_t& item : witness.prefix) item = spelled_once(item);
        witness.rest = spelled_once(witness.rest);
      }
    }
  }

  // The value with one text for each number, so that equal items have equal texts.
  std::uint32_t spelled_once(std::uint32_t value) {
    if (value == kNone) return kNone;
    JsonValue copy = out_.values[value];
    copy.bare = both(copy.bare, numbers_spelled_once(), budget_);
    if (copy.bare->empty() && copy.string->empty()) return kNone;
    out_.values.push_back(std::move(copy));
    return static_cast<std::uint32_t>(out_.values.size() - 1);
  }

  static std::uint32_t limit(std::uint64_t count) {
    return count >= kNoLimit ? kNoLimit : static_cast<std::uint32_t>(count);
  }

  template <class ValueOf>
  JsonArray write_array(const ArrayShape& shape, const ValueOf& value_of) {
    JsonArray out;
    out.min = limit(shape.min);
    out.max = limit(length_max(shape));
    out.is_unique = shape.is_unique && out.max > 1;
    const auto possible = [&](std::uint32_t number) {
      return is_possible(number) ? value_of(number) : kNone;
    };
    for (std::size_t i = 0; i < shape.items.prefix.size() && i < out.max; ++i) {
      out.items.prefix.push_back(possible(number_of(shape.items.at(i))));
    }
    if (out.max > shape.items.prefix.size()) {
      out.items.rest = possible(number_of(shape.items.rest));
    }
    for (const auto& witness : shape.witnesses) {
      JsonArray::Items items;
      const std::size_t length = positions(shape);
      for (std::size_t i = 0; i < length; ++i) {
        items.prefix.push_back(possible(number_of(shape.items.at(i), witness.at(i))));
      }
      items.rest = possible(number_of(shape.items.rest, witness.rest));
      out.witnesses.push_back(std::move(items));
    }
    if (out.is_unique) {
      for (std::size_t i = 0; i <= shape.items.prefix.size(); ++i) {
        const Normal& item = normals_[number_of(shape.items.at(i))];
        if (!item.arrays.empty() || !item.objects.empty()) {
          refuse(
              "the schema's uniqueItems over items that may be arrays or objects is not supported");
        }
      }
    }
    return out;
  }

  template <class ValueOf>
  JsonObject write_object(const ObjectShape& shape, const ValueOf& value_of) {
    JsonObject out;
    if (shape.obligations.size() > JsonObject::kObligationsMax) {
      refuse("the schema requires more than 256 properties of one object");
    }
    out.obligations = shape.obligations;
    out.min = limit(shape.min);
    out.max = limit(shape.max);
    out.keys = possible_keys(shape);
    for (const auto& key_class : shape.classes) {
      JsonObject::KeyClass written;
      const std::uint32_t value = number_of(key_class.value);
      for (const auto& [obligation, expr] : key_class.witnesses) {
        if (algebra_.all_of({key_class.value, expr}) == key_class.value) {
          written.fulfils.push_back(static_cast<std::uint16_t>(obligation));
        }
      }
      for (auto& [set, expr] : choices(shape, key_class)) {
        const std::uint32_t other = number_of(expr);
        if (is_possible(other)) written.may_fulfil.emplace_back(std::move(set), value_of(other));
      }
      written.value = is_possible(value) ? value_of(value) : kNone;
      out.classes.push_back(std::move(written));
    }
    return out;
  }

  SchemaAlgebra& algebra_;
  Budget& budget_;
  std::vector<ExprId> exprs_;
  std::unordered_map<ExprId, std::uint32_t> numbers_;
  std::vector<Normal> normals_;
  std::unordered_map<const void*, bool> visited_;
  std::vector<bool> possible_;
  std::unordered_map<std::uint32_t, std::uint32_t> written_;
  std::unordered_map<const void*, std::uint32_t> shapes_;
  JsonGrammar out_;
};

}  // namespace

JsonGrammar finish_json(SchemaAlgebra& algebra, ExprId root, Budget& budget) {
  return Finisher(algebra, budget).run(root);
}

}  // namespace ridgeline::grammar
