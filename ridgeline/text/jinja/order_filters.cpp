#include <algorithm>
#include <unordered_set>

#include "ridgeline/text/jinja/filters.h"
#include "ridgeline/text/jinja/operators.h"
#include "ridgeline/text/jinja/parameters.h"

namespace ridgeline::jinja {
namespace {

struct Keyed {
  Value key, item;
};

/// As Python's sorted(): equal keys keep their order, also when reversed.
void sort_by_key(Runtime& runtime, std::vector<Keyed>& items, bool reverse) {
  std::ranges::stable_sort(items, [&](const Keyed& a, const Keyed& b) {
    return reverse ? less(runtime, b.key, a.key) : less(runtime, a.key, b.key);
  });
}

Value list_of(Runtime& runtime, std::vector<Keyed> keyed) {
  Values items;
  items.reserve(keyed.size());
  for (Keyed& k : keyed) items.push_back(std::move(k.item));
  return runtime.list(std::move(items));
}

Value cased(Runtime& runtime, const Value& value, bool case_sensitive) {
  return case_sensitive ? value : ignore_case(runtime, value);
}

Value filter_sort(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters p("sort", arguments, {"reverse", "case_sensitive", "attribute"});
  const bool case_sensitive = p.truth(runtime, 1, false);
  std::vector<AttributePath> paths;
  if (p.has(2) && p[2].is_string()) {
    std::string_view names = p.text(2);  // "name,age": by the first, then the second
    for (;;) {
      const std::size_t comma = names.find(',');
      paths.emplace_back(make_string(std::string(names.substr(0, comma))));
      if (comma == names.npos) break;
      names.remove_prefix(comma + 1);
    }
  } else {
    paths.emplace_back(p[2]);
  }
  std::vector<Keyed> keyed;
  for_each(runtime, input, [&](const Value& item) {
    Values key;
    for (const AttributePath& path : paths)
      key.push_back(cased(runtime, path.of(runtime, item), case_sensitive));
    keyed.push_back({key.size() == 1 ? key[0] : runtime.list(std::move(key)), item});
  });
  sort_by_key(runtime, keyed, p.truth(runtime, 0, false));
  return list_of(runtime, std::move(keyed));
}

Value filter_dictsort(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters p("dictsort", arguments, {"case_sensitive", "by", "reverse"});
  const std::string by = p.has(1) ? p.text(1) : "key";
  if (by != "key" && by != "value")
    throw TemplateError{"You can only sort by either \"key\" or \"value\""};
  require_defined(input);
  if (!input.is_dict())
    throw_type_error(std::string("'") + type_name(input) + "' object has no attribute 'items'");
  std::vector<Keyed> keyed;
  for (const auto& [key, value] : input.dict().entries)
    keyed.push_back({cased(runtime, by == "key" ? key : value, p.truth(runtime, 0, false)),
                     runtime.tuple({key, value})});
  sort_by_key(runtime, keyed, p.truth(runtime, 2, false));
  return list_of(runtime, std::move(keyed));
}

Value filter_unique(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters p("unique", arguments, {"case_sensitive", "attribute"});
  struct State {
    std::unordered_set<Value, DictObject::KeyHash, DictObject::KeyEqual> seen;
    Iterator items;
  };
  auto state = std::make_shared<State>(State{{}, Iterator(runtime, input)});
  return runtime.generator(
      [state, path = AttributePath(p[1]), case_sensitive = p.truth(runtime, 0, false)](
          Runtime& r, Value& item) {
        while (state->items.next(item)) {
          Value key = cased(r, path.of(r, item), case_sensitive);
          require_hashable(key);
          if (state->seen.insert(std::move(key)).second) return true;
        }
        return false;
      },
      {input});
}

template <bool kMax>
Value extreme(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters p(kMax ? "max" : "min", arguments, {"case_sensitive", "attribute"});
  const AttributePath path(p[1]);
  const bool case_sensitive = p.truth(runtime, 0, false);
  Keyed best{Value::missing(), {}};
  for_each(runtime, input, [&](const Value& item) {
    Value key = cased(runtime, path.of(runtime, item), case_sensitive);
    if (!best.key.is_missing() &&
        !(kMax ? less(runtime, best.key, key) : less(runtime, key, best.key)))
      return;
    best = {std::move(key), item};
  });
  if (best.key.is_missing()) return runtime.undefined("No aggregated item, sequence was empty.");
  return best.item;
}

Value filter_groupby(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters p("groupby", arguments, {"attribute", "default", "case_sensitive"}, 1);
  const AttributePath path(p[0]);
  const bool case_sensitive = p.truth(runtime, 2, false);
  std::vector<Keyed> keyed;
  for_each(runtime, input, [&](const Value& item) {
    keyed.push_back({cased(runtime, path.of(runtime, item, p[1]), case_sensitive), item});
  });
  sort_by_key(runtime, keyed, false);
  Values groups;
  for (std::size_t i = 0; i < keyed.size();) {
    Values members;
    const Value key = keyed[i].key;
    const Value name = path.of(runtime, keyed[i].item, p[1]);  // with its case
    for (; i < keyed.size() && equal(runtime, keyed[i].key, key); ++i)
      members.push_back(keyed[i].item);
    if (members.empty()) throw TemplateError{"groupby met a key that is not equal to itself"};
    groups.push_back(runtime.group(name, runtime.list(std::move(members))));
  }
  return runtime.list(std::move(groups));
}

constexpr NamedFilter kFilters[] = {
    {"dictsort", filter_dictsort}, {"groupby", filter_groupby}, {"max", extreme<true>},
    {"min", extreme<false>},       {"sort", filter_sort},       {"unique", filter_unique},
};

}  // namespace

std::span<const NamedFilter> order_filters() { return kFilters; }

}  // namespace ridgeline::jinja
