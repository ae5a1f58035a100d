#include <map>
#include <mutex>

#include "ridgeline/text/grammar/regex.h"
#include "ridgeline/text/grammar/schema_reader.h"

namespace ridgeline::grammar {
namespace {

// RFC 3339 without leap seconds, which only a table could tell; days by month and year.
#define RL_YEAR "[0-9]{4}"
#define RL_LEAP "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
#define RL_DATE                                                                             \
  "(?:" RL_YEAR                                                                             \
  "-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)" \
  "|02-(?:0[1-9]|1[0-9]|2[0-8]))|" RL_LEAP "-02-29)"
#define RL_TIME                                                                                    \
  "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]+)?(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5]" \
  "[0-9])"

// RFC 3986, appendix A.
#define RL_PCT "%[0-9A-Fa-f]{2}"
#define RL_UNRESERVED "A-Za-z0-9._~\\-"
#define RL_SUB "!$&'()*+,;="
#define RL_PCHAR "(?:[" RL_UNRESERVED RL_SUB ":@]|" RL_PCT ")"
#define RL_OCTET "(?:[0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])"
#define RL_IPV4 "(?:" RL_OCTET "(?:\\." RL_OCTET "){3})"
#define RL_H16 "[0-9A-Fa-f]{1,4}"
#define RL_LS32 "(?:" RL_H16 ":" RL_H16 "|" RL_IPV4 ")"
#define RL_IPV6                                                                                  \
  "(?:(?:" RL_H16 ":){6}" RL_LS32 "|::(?:" RL_H16 ":){5}" RL_LS32 "|(?:" RL_H16 ")?::(?:" RL_H16 \
  ":){4}" RL_LS32 "|(?:(?:" RL_H16 ":){0,1}" RL_H16 ")?::(?:" RL_H16 ":){3}" RL_LS32             \
  "|(?:(?:" RL_H16 ":){0,2}" RL_H16 ")?::(?:" RL_H16 ":){2}" RL_LS32 "|(?:(?:" RL_H16            \
  ":){0,3}" RL_H16 ")?::" RL_H16 ":" RL_LS32 "|(?:(?:" RL_H16 ":){0,4}" RL_H16 ")?::" RL_LS32    \
  "|(?:(?:" RL_H16 ":){0,5}" RL_H16 ")?::" RL_H16 "|(?:(?:" RL_H16 ":){0,6}" RL_H16 ")?::)"
#define RL_AUTHORITY                                                \
  "(?:(?:[" RL_UNRESERVED RL_SUB ":]|" RL_PCT ")*@)?(?:\\[" RL_IPV6 \
  "\\]|(?:[" RL_UNRESERVED RL_SUB "]|" RL_PCT ")*)(?::[0-9]*)?"
#define RL_SEGMENTS "(?:/" RL_PCHAR "*)*"
#define RL_TAIL "(?:\\?(?:" RL_PCHAR "|[/?])*)?(?:#(?:" RL_PCHAR "|[/?])*)?"
#define RL_ABSOLUTE "/(?:" RL_PCHAR "+" RL_SEGMENTS ")?"
#define RL_URI                                                                          \
  "[A-Za-z][A-Za-z0-9+.-]*:(?://" RL_AUTHORITY RL_SEGMENTS "|" RL_ABSOLUTE "|" RL_PCHAR \
  "+" RL_SEGMENTS "|)" RL_TAIL
#define RL_RELATIVE                                                                          \
  "(?://" RL_AUTHORITY RL_SEGMENTS "|" RL_ABSOLUTE "|(?:[" RL_UNRESERVED RL_SUB "@]|" RL_PCT \
  ")+" RL_SEGMENTS "|)" RL_TAIL

// A label of a host name. Those with "--" at the third place may be punycode, which has
// rules of its own: none is written.
#define RL_LABEL                                                            \
  "(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,2}[A-Za-z0-9])?|[A-Za-z0-9][A-Za-z0-9-]" \
  "(?:[A-Za-z0-9][A-Za-z0-9-]|-[A-Za-z0-9])[A-Za-z0-9-]{0,35}[A-Za-z0-9])"
// At most six labels of forty characters, within the 253 that a name may have.
#define RL_HOST RL_LABEL "(?:\\." RL_LABEL "){0,5}"

#define RL_ATOM "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"

struct Format {
  std::string_view name;
  const char* regex;  // null: it is defined, but not supported
  bool is_exact;
};

constexpr Format kFormats[] = {
    {"date", RL_DATE, true},
    {"time", RL_TIME, false},
    {"date-time", RL_DATE "[Tt]" RL_TIME, false},
    {"duration",
     "P(?:[0-9]+W|(?:[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?|[0-9]+M(?:[0-9]+D)?|[0-9]+D)"
     "(?:T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S))?|"
     "T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S))",
     true},
    {"email", RL_ATOM "(?:\\." RL_ATOM ")*@" RL_HOST, false},
    {"idn-email", RL_ATOM "(?:\\." RL_ATOM ")*@" RL_HOST, false},
    {"hostname", RL_HOST, false},
    {"idn-hostname", RL_HOST, false},
    {"ipv4", RL_IPV4, true},
    {"ipv6", RL_IPV6, true},
    {"uri", RL_URI, false},
    {"uri-reference", "(?:" RL_URI "|" RL_RELATIVE ")", false},
    {"iri", RL_URI, false},
    {"iri-reference", "(?:" RL_URI "|" RL_RELATIVE ")", false},
    {"uri-template",
     "(?:[!#$&()*+,./0-9:;=?@A-Z\\[\\]_a-z~-]|" RL_PCT
     "|\\{[+#./"
     ";?&]?[A-Za-z0-9_]+(?:\\*|:[1-9][0-9]{0,3})?(?:,[A-Za-z0-9_]+(?:\\*|:[1-9][0-9]{0,3})?)*\\})*",
     false},
    {"uuid", "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}", true},
    {"json-pointer", "(?:/(?:[^~/]|~[01])*)*", true},
    {"relative-json-pointer", "(?:0|[1-9][0-9]*)(?:#|(?:/(?:[^~/]|~[01])*)*)", true},
    {"regex", nullptr, false},
};

}  // namespace

Language format_language(std::string_view name, bool& is_supported, Budget& budget) {
  is_supported = true;
  for (const Format& format : kFormats) {
    if (format.name != name) continue;
    if (format.regex == nullptr) {
      is_supported = false;
      return {};
    }
    static std::mutex mutex;
    static std::map<std::string_view, DfaPtr> compiled;
    const std::lock_guard<std::mutex> lock(mutex);
    DfaPtr& dfa = compiled[format.name];
    if (!dfa) dfa = regex_whole(format.regex, "the format " + std::string(name), budget);
    return {dfa, format.is_exact ? dfa : everything()};
  }
  return {};
}

}  // namespace ridgeline::grammar
