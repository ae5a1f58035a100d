#include "ridgeline/text/jinja/globals.h"

#include <algorithm>
#include <array>

#include "ridgeline/text/jinja/operators.h"
#include "ridgeline/text/jinja/parameters.h"

namespace ridgeline::jinja {
namespace {

/// The sandbox's own limit.
constexpr std::int64_t kMaxRange = 100'000;

Value make_range(Runtime& runtime, Arguments& arguments) {
  if (!arguments.keyword.empty()) throw_type_error("range() takes no keyword arguments");
  const Parameters p("range", arguments, {"start", "stop", "step"}, 1);
  const bool only_stop = !p.has(1);
  const std::int64_t start = only_stop ? 0 : p.integer(0, 0);
  const std::int64_t stop = only_stop ? p.integer(0, 0) : p.integer(1, 0);
  const std::int64_t step = p.integer(2, 1);
  if (step == 0) throw TemplateError{"range() arg 3 must not be zero"};
  // In doubles nothing overflows, and what is near the limit is exact.
  const double items =
      (static_cast<double>(stop) - static_cast<double>(start)) / static_cast<double>(step);
  if (items > static_cast<double>(kMaxRange))
    throw TemplateError{"Range too big. The sandbox blocks ranges larger than MAX_RANGE (" +
                        std::to_string(kMaxRange) + ")."};
  std::int64_t length = 0;
  if (step > 0 && start < stop) length = (stop - start - 1) / step + 1;
  if (step < 0 && stop < start) length = (start - stop - 1) / -(step + (step == INT64_MIN)) + 1;
  return runtime.range(start, stop, step, length);
}

/// dict(): of pairs or another dict, and of keywords.
std::shared_ptr<DictObject> dict_of(Runtime& runtime, Arguments& arguments) {
  if (arguments.positional.size() > 1) throw_type_error("dict expected at most 1 argument");
  auto dict = std::make_shared<DictObject>();
  const auto set = [&](const Value& key, const Value& value) {
    runtime.step();
    require_hashable(key);
    dict->set(key, value);
  };
  if (!arguments.positional.empty()) {
    const Value& given = arguments.positional[0];
    if (given.is_dict()) {
      for (const auto& [key, value] : given.dict().entries) set(key, value);
    } else {
      for_each(runtime, given, [&](const Value& pair) {
        const Values both = items_of(runtime, pair);
        if (both.size() != 2)
          throw TemplateError{"dictionary update sequence element has length " +
                              std::to_string(both.size()) + "; 2 is required"};
        set(both[0], both[1]);
      });
    }
  }
  for (const auto& [name, value] : arguments.keyword) set(make_string(name), value);
  return dict;
}

Value make_dict_value(Runtime& runtime, Arguments& arguments) {
  return runtime.dict(dict_of(runtime, arguments));
}

Value make_namespace(Runtime& runtime, Arguments& arguments) {
  const auto attributes = dict_of(runtime, arguments);
  for (const auto& [key, value] : attributes->entries)
    if (key.is_string() && key.text().starts_with('_'))
      throw TemplateError{
          "Chat templates cannot store underscore-prefixed attributes on a "
          "namespace, but got '" +
          key.text() + "'"};
  return runtime.make_namespace(*attributes);
}

Value make_cycler(Runtime& runtime, Arguments& arguments) {
  if (!arguments.keyword.empty()) throw_type_error("cycler takes no keyword arguments");
  if (arguments.positional.empty()) throw TemplateError{"at least one item has to be provided"};
  return runtime.cycler(arguments.positional);
}

Value make_joiner(Runtime& runtime, Arguments& arguments) {
  const Parameters p("joiner", arguments, {"sep"});
  return runtime.joiner(p.has(0) ? p[0] : runtime.string(", "));
}

Value raise_exception(Runtime& runtime, Arguments& arguments) {
  const Parameters p("raise_exception", arguments, {"message"}, 1);
  throw TemplateError{to_str(runtime, p[0])};
}

/// One directive of strftime, like %d, %-d or %Ey. Longer ones could ask for any width.
void append_time(const std::string& directive, const LocalTime& now, TextBuilder& out) {
  const char letter = directive.back();
  if (letter == 'f') {
    const std::string digits = std::to_string(1'000'000 + now.microseconds);
    return out.append(std::string_view(digits).substr(1));
  }
  if (letter == 'z' || letter == 'Z') return;  // the time knows of no zone
  std::array<char, 256> text;
  const std::size_t n = std::strftime(text.data(), text.size(), directive.c_str(), &now.time);
  out.append({text.data(), n});
}

Value strftime_now(Runtime& runtime, Arguments& arguments) {
  const Parameters p("strftime_now", arguments, {"format"}, 1);
  const LocalTime now = runtime.now();
  const std::string_view format = p.text(0);
  TextBuilder out(runtime);
  for (std::size_t at = 0; at < format.size();) {
    const std::size_t percent = std::min(format.find('%', at), format.size());
    out.append(format.substr(at, percent - at));
    if (percent == format.size()) break;
    std::size_t end = percent + 1;
    while (end < format.size() && std::string_view("-_0^#EO:").find(format[end]) < 8) ++end;
    if (end - percent > 4) throw TemplateError{"strftime_now: too many flags behind a %"};
    if (end < format.size() && format[end] >= '1' && format[end] <= '9')
      throw TemplateError{"strftime_now: widths are not supported"};
    if (end == format.size()) {
      out.append(format.substr(percent));
      break;
    }
    append_time(std::string(format.substr(percent, end + 1 - percent)), now, out);
    at = end + 1;
  }
  return out.to_value();
}

Value lipsum(Runtime&, Arguments&) {
  throw TemplateError{"the function 'lipsum' is not supported"};
}

}  // namespace

void add_globals(Runtime& runtime, DictObject& globals) {
  const auto add = [&](const char* name, Value (*function)(Runtime&, Arguments&)) {
    globals.set(make_string(name), runtime.function(name, function));
  };
  add("range", make_range);
  add("dict", make_dict_value);
  add("namespace", make_namespace);
  add("cycler", make_cycler);
  add("joiner", make_joiner);
  add("raise_exception", raise_exception);
  add("strftime_now", strftime_now);
  add("lipsum", lipsum);
}

}  // namespace ridgeline::jinja
