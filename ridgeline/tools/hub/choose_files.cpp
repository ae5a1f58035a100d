#include "ridgeline/tools/hub/choose_files.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>

namespace ridgeline::hub {
namespace {

/// Without a selector the first of these that is there. Q4_K_M is what most people run: it
/// keeps most of the quality at a quarter of the size; then the other 4-bit types, what is
/// nearly lossless, the rest from large to small, and unquantized files last.
constexpr std::array kPreference{"Q4_K_M", "Q4_0",  "Q8_0",      "Q4_K_S", "UD-Q4_K_XL", "Q4_K_L",
                                 "Q4_1",   "MXFP4", "MXFP4_MOE", "Q5_K_M", "Q6_K",       "Q5_K_S",
                                 "Q5_0",   "Q5_1",  "IQ4_XS",    "IQ4_NL", "Q3_K_L",     "Q3_K_M",
                                 "Q3_K_S", "Q2_K",  "BF16",      "F16",    "F32"};

std::string upper(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return result;
}

std::string_view file_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

bool is_gguf(std::string_view path) { return upper(path).ends_with(".GGUF"); }

/// GGUF files that are no language model: image encoders, importance matrices.
bool is_companion(std::string_view path) {
  const std::string name = upper(file_name(path));
  return name.find("MMPROJ") != name.npos || name.find("IMATRIX") != name.npos;
}

/// "model", 2, 5 of "model-00002-of-00005" before an extension.
struct Shard {
  std::string base;
  int index = 0, count = 0;
};

std::optional<Shard> shard_of(std::string_view path) {
  const std::size_t dot = path.rfind('.');
  if (dot == path.npos) return std::nullopt;
  const std::string_view stem = path.substr(0, dot);
  constexpr std::string_view kPattern = "-#####-of-#####";
  if (stem.size() <= kPattern.size()) return std::nullopt;
  const std::string_view tail = stem.substr(stem.size() - kPattern.size());
  std::array<int, 2> numbers{};
  std::size_t number = 0;
  for (std::size_t i = 0; i < tail.size(); ++i) {
    if (kPattern[i] == 'o') number = 1;
    if (kPattern[i] != '#') {
      if (tail[i] != kPattern[i]) return std::nullopt;
    } else if (tail[i] < '0' || tail[i] > '9') {
      return std::nullopt;
    } else {
      numbers[number] = numbers[number] * 10 + (tail[i] - '0');
    }
  }
  if (numbers[0] < 1 || numbers[0] > numbers[1]) return std::nullopt;
  return Shard{std::string(stem.substr(0, stem.size() - kPattern.size())), numbers[0], numbers[1]};
}

/// One GGUF model: a file, or all shards of one.
struct Group {
  std::string name;  ///< path without the shard's number and ".gguf"
  std::string quantization;
  std::vector<RepoFile> files;  ///< by number
  int count = 1;

  std::uint64_t bytes() const {
    std::uint64_t sum = 0;
    for (const RepoFile& f : files) sum += f.size;
    return sum;
  }
  bool whole() const { return static_cast<int>(files.size()) == count; }
};

std::vector<Group> gguf_groups(const RepoListing& listing) {
  std::map<std::string, Group> groups;
  for (const RepoFile& f : listing.files) {
    if (!is_gguf(f.path) || is_companion(f.path)) continue;
    const std::optional<Shard> shard = shard_of(f.path);
    // Parts of a file cut in 2 are not parts of the same file cut in 3.
    const std::string key = shard ? fmt::format("{}-of-{}", shard->base, shard->count) : f.path;
    Group& g = groups[key];
    g.name = shard ? shard->base : f.path.substr(0, f.path.rfind('.'));
    g.quantization = quantization_of(f.path);
    g.count = shard ? shard->count : 1;
    g.files.push_back(f);
  }
  std::vector<Group> result;
  for (auto& [key, group] : groups) {
    std::ranges::sort(group.files, {}, &RepoFile::path);
    result.push_back(std::move(group));
  }
  return result;
}

std::string described(const Group& g) {
  return g.count > 1 ? fmt::format("{} ({} shards, {})", g.name, g.count, size_text(g.bytes()))
                     : fmt::format("{} ({})", g.files.front().path, size_text(g.bytes()));
}

std::string described(const std::vector<Group>& groups) {
  constexpr std::size_t kNamesMax = 40;
  std::vector<std::string> names;
  for (const Group& g : groups) names.push_back(described(g));
  if (names.size() > kNamesMax) {
    const std::size_t more = names.size() - kNamesMax;
    names.resize(kNamesMax);
    names.push_back(fmt::format("and {} more", more));
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

Result<ModelChoice> chosen(const Group& g) {
  if (!g.whole())
    return fail(fmt::format("{} is split into {} files, of which {} {} there", g.name, g.count,
                            g.files.size(), g.files.size() == 1 ? "is" : "are"));
  return ModelChoice{g.files, g.files.front().path};
}

/// The only one, or a sentence with all of them.
Result<ModelChoice> only(const std::vector<Group>& groups, const std::string& what) {
  if (groups.size() == 1) return chosen(groups.front());
  return fail(
      fmt::format("{} could be any of {}: name the file after a colon", what, described(groups)));
}

template <class Predicate>
std::vector<Group> those(const std::vector<Group>& groups, Predicate&& predicate) {
  std::vector<Group> result;
  std::ranges::copy_if(groups, std::back_inserter(result), predicate);
  return result;
}

/// What a model folder is read from, beside its weights.
bool is_folder_part(std::string_view path) {
  constexpr std::array kNames{"config.json",
                              "generation_config.json",
                              "preprocessor_config.json",
                              "special_tokens_map.json",
                              "added_tokens.json",
                              "vocab.json",
                              "vocab.txt",
                              "merges.txt",
                              "chat_template.jinja",
                              "chat_template.json",
                              "modules.json",
                              "sentence_bert_config.json",
                              "config_sentence_transformers.json",
                              "1_Pooling/config.json"};
  if (std::ranges::find(kNames, path) != kNames.end()) return true;
  if (path.starts_with("additional_chat_templates/") && path.ends_with(".jinja")) return true;
  if (path.find('/') != path.npos) return false;
  return path.ends_with(".model") || path.ends_with(".tiktoken") ||
         (path.starts_with("tokenizer") && (path.ends_with(".json") || path.ends_with(".jinja")));
}

/// Weights as transformers looks for them: model.safetensors, else the shards with their
/// index. "consolidated" files and variants hold the same weights once more.
Result<std::vector<RepoFile>> safetensors_of(const RepoListing& listing) {
  constexpr std::string_view kWhole = "model.safetensors";
  constexpr std::string_view kIndex = "model.safetensors.index.json";
  if (const RepoFile* whole = listing.find(kWhole)) return std::vector{*whole};
  std::map<std::pair<std::string, int>, std::vector<RepoFile>> sets;
  for (const RepoFile& f : listing.files) {
    if (!f.path.ends_with(".safetensors") || f.path.find('/') != f.path.npos ||
        f.path.starts_with("consolidated"))
      continue;
    if (const auto shard = shard_of(f.path)) sets[{shard->base, shard->count}].push_back(f);
  }
  const RepoFile* index = listing.find(kIndex);
  if (sets.empty() || index == nullptr)
    return fail(fmt::format("it has neither {} nor shards with {}", kWhole, kIndex));
  const auto named_model =
      std::ranges::find_if(sets, [](const auto& set) { return set.first.first == "model"; });
  auto& [key, files] = named_model == sets.end() ? *sets.begin() : *named_model;
  if (static_cast<int>(files.size()) != key.second)
    return fail(fmt::format("its weights are split into {} files, of which {} {} there", key.second,
                            files.size(), files.size() == 1 ? "is" : "are"));
  files.push_back(*index);
  return files;
}

Result<ModelChoice> choose_folder(const RepoListing& listing) {
  if (listing.find("config.json") == nullptr)
    return fail("it has no GGUF file and no config.json, so it is no model that can be run");
  RIDGELINE_TRY(ModelChoice choice, safetensors_of(listing).map([](std::vector<RepoFile> files) {
    return ModelChoice{std::move(files), ""};
  }));
  for (const RepoFile& f : listing.files)
    if (is_folder_part(f.path)) choice.files.push_back(f);
  return choice;
}

Result<ModelChoice> choose_by_preference(const std::vector<Group>& groups) {
  if (groups.size() == 1) return chosen(groups.front());
  for (const char* quantization : kPreference) {
    // A split file of which a part is missing is no choice while another is whole.
    const auto matching =
        those(groups, [&](const Group& g) { return g.quantization == quantization && g.whole(); });
    if (!matching.empty()) return only(matching, quantization);
  }
  return only(groups, "the model");
}

Result<ModelChoice> choose_named(const RepoListing& listing, const std::vector<Group>& groups,
                                 std::string_view selector) {
  const std::string wanted = upper(selector);
  // A file by its path, or by its name in whatever folder.
  if (const RepoFile* file = listing.find(selector); file != nullptr && !is_gguf(selector))
    return ModelChoice{{*file}, file->path};
  using Test = bool (*)(const Group&, const std::string&);
  constexpr std::array<Test, 4> kTests{
      [](const Group& g, const std::string& text) {
        return std::ranges::any_of(g.files,
                                   [&](const RepoFile& f) { return upper(f.path) == text; }) ||
               upper(g.name) == text;
      },
      [](const Group& g, const std::string& text) {
        return std::ranges::any_of(
                   g.files, [&](const RepoFile& f) { return upper(file_name(f.path)) == text; }) ||
               upper(file_name(g.name)) == text;
      },
      [](const Group& g, const std::string& text) { return g.quantization == text; },
      [](const Group& g, const std::string& text) { return g.quantization == "UD-" + text; }};
  for (const Test test : kTests)
    if (const auto matching = those(groups, [&](const Group& g) { return test(g, wanted); });
        !matching.empty())
      return only(matching, fmt::format("'{}'", selector));
  if (const RepoFile* companion = listing.find(selector))
    return ModelChoice{{*companion}, companion->path};
  return fail(fmt::format("it has no file and no quantization '{}'{}", selector,
                          groups.empty() ? ", and no GGUF file at all"
                                         : fmt::format("; there is {}", described(groups))));
}

bool is_boundary(std::string_view text, std::size_t i) {
  if (i >= text.size()) return true;
  const char c = text[i];
  return !((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'));
}

/// The length of a quantization's name that begins at `i` and ends at a word's end, or 0.
std::size_t quantization_length(std::string_view text, std::size_t i) {
  constexpr std::array kPlain{"MXFP4_MOE", "MXFP4", "NVFP4", "BF16", "FP16", "F16", "FP32", "F32"};
  for (const std::string_view name : kPlain)
    if (text.substr(i).starts_with(name) && is_boundary(text, i + name.size())) return name.size();
  std::size_t end = i;
  if (text[end] == 'I' || text[end] == 'T') ++end;
  if (end + 1 >= text.size() || text[end] != 'Q' || text[end + 1] < '1' || text[end + 1] > '8')
    return 0;
  end += 2;
  if (!is_boundary(text, end)) return 0;
  constexpr std::array kParts{"0", "1",  "4",  "8",   "K",  "S",  "M",
                              "L", "XL", "XS", "XXS", "NL", "R4", "R8"};
  while (end < text.size() && text[end] == '_') {
    std::size_t stop = end + 1;
    while (!is_boundary(text, stop)) ++stop;
    if (std::ranges::find(kParts, text.substr(end + 1, stop - end - 1)) == kParts.end()) break;
    end = stop;
  }
  return end - i;
}

}  // namespace

std::string quantization_of(std::string_view path) {
  // The last in the path: models are called after formats, too, and folders after both.
  const std::string text = upper(path);
  for (std::size_t i = text.size(); i-- > 0;) {
    if (i > 0 && !is_boundary(text, i - 1)) continue;
    const std::size_t length = quantization_length(text, i);
    if (length == 0) continue;
    std::string name = text.substr(i, length);
    if (name == "FP16" || name == "FP32") name.erase(1, 1);
    const bool dynamic = i >= 3 && text.substr(i - 3, 3) == "UD-";
    return dynamic ? "UD-" + name : name;
  }
  return "";
}

std::string size_text(std::uint64_t bytes) {
  constexpr std::array kUnits{"kB", "MB", "GB", "TB"};
  if (bytes < 1000) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1000;
  std::size_t unit = 0;
  for (; value >= 999.5 && unit + 1 < kUnits.size(); ++unit) value /= 1000;
  return fmt::format("{:.{}f} {}", value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0, kUnits[unit]);
}

Result<ModelChoice> choose_files(const RepoListing& listing, std::string_view selector) {
  const std::vector<Group> groups = gguf_groups(listing);
  if (upper(selector) == "SAFETENSORS") return choose_folder(listing);
  if (!selector.empty()) return choose_named(listing, groups, selector);
  return groups.empty() ? choose_folder(listing) : choose_by_preference(groups);
}

}  // namespace ridgeline::hub
