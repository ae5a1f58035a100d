#include "ridgeline/text/pre_tokenizer_table.h"

namespace ridgeline {
namespace {

// The expressions are those of the models' own tokenizer definitions (tokenizer.json,
// for GPT-2 encoder.py), as far as names go with the aliases that llama.cpp gives them.
// llama.cpp rewrites some for std::regex, to which white space above U+007F is no member
// of a range: it cuts "deepseek-llm" texts with U+2029 differently, and "tekken" ones
// with marks and with letters that have no case.

const std::string kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// What the originals write as (?i:'s|'t|'re|'ve|'m|'ll|'d); the long s is an s, too.
const std::string kContraction = R"('(?:[sS\x{17F}tTmMdD]|[rR][eE]|[vV][eE]|[lL][lL]))";
const std::string kSpaces = R"(\s+(?!\S)|\s+)";
const std::string kLinesAndSpaces = R"(\s*[\r\n]+|)" + kSpaces;

std::string cl100k_like(const std::string& digits) {
  return kContraction + R"(|[^\r\n\p{L}\p{N}]?\p{L}+|)" + digits +
         R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|)" + kLinesAndSpaces;
}

// DeepSeek lists the letters that have case instead of naming a property.
const std::string kDeepseekCasedLetters =
    R"(A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293})"
    R"(\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386})"
    R"(\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F})"
    R"(\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA})"
    R"(\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A})"
    R"(\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D})"
    R"(\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4})"
    R"(\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3})"
    R"(\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107})"
    R"(\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D})"
    R"(\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184})"
    R"(\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D})"
    R"(\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF})"
    R"(\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A})"
    R"(\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2})"
    R"(\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}\x{1E900}-\x{1E943})";

// Han from U+4E00, everything from Samaritan to it, Hangul syllables.
const std::string kDeepseekCjk = R"([\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+)";

// DeepSeek-V3's words: a mark takes Latin letters with it, letters take their accents.
const std::string kDeepseek3Words =
    R"([!-/:-@\[-`{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+)";
const std::string kDeepseek3 = kDeepseek3Words + R"([\r\n]*|)" + kLinesAndSpaces;
const std::string kHanAndKana = R"([\x{4E00}-\x{9FA5}\x{3040}-\x{30FF}]+)";

// GPT-4o's words: upper case then lower case, with what Unicode gives no case in both,
// and a contraction's ending. `letters` excludes some of them.
std::string cased_words(const std::string& ending, const std::string& letters = "") {
  const auto any_of = [&letters](const std::string& letter_class, const char* count) {
    return letters.empty() ? letter_class + count : "(?:" + letters + letter_class + ")" + count;
  };
  const std::string upper = R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])";
  const std::string lower = R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])";
  const std::string before = R"([^\r\n\p{L}\p{N}]?)";
  return before + any_of(upper, "*") + any_of(lower, "+") + ending + "|" + before +
         any_of(upper, "+") + any_of(lower, "*") + ending + "|";
}
std::string o200k_like(const std::string& ending, const std::string& digits,
                       const std::string& letters = "", const std::string& after_marks = "/") {
  return cased_words(ending, letters) + digits + R"(| ?[^\s\p{L}\p{N}]+[\r\n)" + after_marks +
         "]*|" + kLinesAndSpaces;
}
const std::string kO200k = o200k_like("(?:" + kContraction + ")?", R"(\p{N}{1,3})");

// Groups of three digits, counted from the end of the number. The originals look ahead
// from each group to the number's end, which takes quadratic time; here only the first
// one does, and \G says that a group ended where the next begins.
std::string digits_from_the_end(const std::string& digit, const std::string& end) {
  return "(?<!" + digit + ")" + digit + "{1,3}(?=(?:" + digit + "{3})*+" + end + R"()|\G(?<=)" +
         digit + ")" + digit + "{3}";
}
// No \b behind a digit: no character of a word in Unicode's sense (PCRE2's \w is another).
const std::string kNoWordCharacter =
    R"((?![\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{24B6}-\x{24E9}\x{1F130}-\x{1F149}\x{1F150}-\x{1F169})"
    R"(\x{1F170}-\x{1F189}]))";

// BLOOM's class has another class in it, which comes to this.
const std::string kBloom =
    R"( ?[^(\s|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{964}\x{6D4}\x{60C})]+)";

// All that ASCII has besides letters, digits and spaces, and the categories P.
const std::string kPunctuation = R"(\p{P}$+<=>^`|~)";

const std::vector<PreTokenizerRow>& table() {
  static const std::vector<PreTokenizerRow> rows = {
      {.names = {"default", ""},
       .patterns = {R"([\p{P}$+<=>^~|]+)", kGpt2, R"(\p{N}+)", "[0-9][0-9][0-9]"},
       .num_patterns_to_words = 2},
      {.names = {"falcon"},
       // The original's step for digits sees bytes, among them some of larger characters.
       // It is left out: no merge of its vocabulary joins such a byte with another.
       .patterns = {"[" + kPunctuation + "]+", kGpt2, "[0-9][0-9][0-9]"},
       .num_patterns_to_words = 2},
      {.names = {"gpt-2", "phi-2", "jina-es", "jina-de", "gigachat", "jina-v2-es", "jina-v2-de",
                 "a.x-4.0", "mellum", "modern-bert", "exaone4", "mpt", "olmo", "jais", "trillion",
                 "granite-docling", "roberta-bpe", "jina-v1-en", "jina-v2-code"},
       .patterns = {kGpt2}},
      {.names = {"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0",
                 "lfm2", "jina-v5-nano"},
       .patterns = {cl100k_like(R"(\p{N}{1,3})")},
       .ignore_merges = true,
       .add_bos = true},
      {.names = {"dbrx", "smaug-bpe", "glm4", "chatglm-bpe"},
       .patterns = {cl100k_like(R"(\p{N}{1,3})")}},
      {.names = {"qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "stablelm2", "megrez", "hunyuan",
                 "solar-open", "grok-2"},
       .patterns = {cl100k_like(R"(\p{N})")}},
      {.names = {"deepseek-llm"},
       // The original's \s+$ is tried at every place of a run of spaces, which takes
       // quadratic time; it can match from the run's first place only.
       .patterns =
           {R"([\r\n])", R"(\s?[)" + kDeepseekCasedLetters + "]+",
            R"(\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+)",
            R"((?<!\s)\s++\z)", kDeepseekCjk, R"(\p{N}+)"},
       .num_patterns_to_words = 2},
      {.names = {"deepseek-coder"},
       .patterns = {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kDeepseekCjk, R"(\p{N})"},
       .num_patterns_to_words = 2},
      {.names = {"starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b",
                 "mellum2"},
       .patterns = {R"(\p{N})", kGpt2},
       .num_patterns_to_words = 2},
      {.names = {"tekken"},
       .patterns = {o200k_like("", R"(\p{N})")},
       .ignore_merges = true,
       .add_bos = true},
      {.names = {"gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"}, .patterns = {kO200k}},
      {.names = {"granite-embed-multi-97m"}, .patterns = {kO200k}, .ignore_merges = true},
      {.names = {"kimi-k2"},
       // sc: the script itself. PCRE2 else takes marks that Han texts use for Han, too.
       .patterns = {R"(\p{sc:Han}+|)" + o200k_like("(?:" + kContraction + ")?", R"(\p{N}{1,3})",
                                                   R"((?!\p{sc:Han}))", "")}},
      {.names = {"tiny_aya", "cohere2moe"},
       .patterns = {digits_from_the_end(R"(\d)", kNoWordCharacter), kO200k},
       .num_patterns_to_words = 2},
      {.names = {"qwen35"},
       .patterns = {kContraction + R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}|)" +
                    R"( ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|)" + kLinesAndSpaces}},
      {.names = {"deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"},
       .patterns = {R"(\p{N}{1,3})", kHanAndKana, kDeepseek3},
       .num_patterns_to_words = 3},
      {.names = {"spark2_5"},
       .patterns = {R"(\p{N}{1,3})", kHanAndKana, kDeepseek3Words + R"(|[\r\n]|)" + kSpaces,
                    R"(\p{N})"},
       .num_patterns_to_words = 3},
      {.names = {"afmoe"},
       // Han, kana, Thai's and Lao's ends, Khmer, Burmese, Hangul.
       .patterns = {digits_from_the_end(R"(\p{N})", R"((?!\p{N}))"),
                    R"([\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{F900}-\x{FAFF}\x{3040}-\x{30FF})"
                    R"(\x{FF65}-\x{FF9F}\x{2F00}-\x{2FDF}\x{E40}-\x{EFF}\x{1780}-\x{17FF})"
                    R"(\x{1000}-\x{109F}\x{AA60}-\x{AA7F}\x{A9E0}-\x{A9FF}\x{AC00}-\x{D7AF})"
                    R"(\x{1100}-\x{11FF}]+)",
                    kDeepseek3},
       .num_patterns_to_words = 3},
      {.names = {"youtu"},
       .patterns = {R"([\x{AC00}-\x{D7A3}\x{3131}-\x{318E}]+|)"
                    R"([\x{FF01}\x{2026}\x{201C}\x{201D}\x{2018}\x{2019}\x{2014}\x{FF1A}\x{FF1B})"
                    R"(\x{FF0C}\x{3001}-\x{303F}\x{FE30}-\x{FE4F}]+|[\x{3105}-\x{312F}]+|)" +
                        kHanAndKana,
                    o200k_like("(?:" + kContraction + ")?", R"(\p{N})")},
       .num_patterns_to_words = 2,
       .ignore_merges = true},
      {.names = {"minicpm5"},
       .patterns = {R"(\p{N}{1,3})", cl100k_like(R"(\p{N}+)")},
       .num_patterns_to_words = 2,
       .ignore_merges = true},
      {.names = {"seed-coder"},
       .patterns = {kContraction + R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|)" +
                    kLinesAndSpaces}},
      {.names = {"bailingmoe", "bailingmoe2", "llada-moe"},
       .patterns = {kContraction +
                    R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|)" +
                    kSpaces}},
      {.names = {"exaone-moe"},
       // Words with single spaces between them are one piece. Possessive, which changes
       // nothing: what may follow a word begins with none of its characters.
       .patterns = {kContraction +
                    R"(|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*+(?: \p{L}\p{M}*+)*+)++|\p{N}|)" +
                    R"( ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|)" + kSpaces}},
      {.names = {"ufakzeka"},
       .patterns = {R"([^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|)" +
                    kLinesAndSpaces}},
      {.names = {"laguna"},
       .patterns = {R"([^\n]+|\n+)", cl100k_like(R"(\p{N})")},
       .num_patterns_to_words = 2},
      {.names = {"jais-2"},
       // Spaces in powers of two. A run's line feeds are taken by the first match that
       // sees them, so behind a space there are none left to look for.
       .patterns = {kContraction +
                    R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
                    R"((?:(?<=[\r\n])|(?<!\s))\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|)"
                    R"(\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|)"
                    R"(\s{4}(?!\S)|\s{1,2}(?!\S)|\s)"}},
      {.names = {"bloom", "poro-chat", "gpt3-finnish"}, .patterns = {kBloom}},
      {.names = {"viking"}, .patterns = {kBloom, R"(\p{N})"}, .num_patterns_to_words = 1},
      // Numerals that are no digits, as in "12\u00bd3", stand apart here; in the original
      // they stay with the digits before them.
      {.names = {"superbpe"}, .patterns = {R"(\p{N}+)", digits_from_the_end(R"(\d)", R"((?!\d))")}},
      {.names = {"chameleon"},
       // Its image tokens, tabs, line feeds and pairs of spaces, digits, marks.
       .patterns = {"<sentinel:[0-9]+>", "IMGIMG[A-I]{1,4}Z", R"([\t\n]|    |  )", R"(\p{N})",
                    "[" + kPunctuation + "]", kGpt2},
       .num_patterns_to_words = 6,
       .add_bos = true},
  };
  return rows;
}

}  // namespace

std::span<const PreTokenizerRow> pre_tokenizer_table() { return table(); }

}  // namespace ridgeline
