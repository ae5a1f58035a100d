#include <fmt/format.h>

#include "ridgeline/text/hf_export.h"

namespace ridgeline {

const std::vector<std::string>& tokenizer_probes() {
  static const std::vector<std::string> probes = [] {
    std::vector<std::string> texts = {
        "Hello world",
        " Hello  world   of    words     and      spaces ",
        "I'm you're we've they'll he'd it's don't 'tis I'M YOU'RE WE'VE THEY'LL HE'D IT'S DON'T",
        "'S 's 'T 't 'Re 'rE 'vE 'LL 'lL 'D 'x 'ſ ''s s's",
        "0 1 12 123 1234 12345 123456 1234567 12345678 a1 a12b345 3.14159 1,000,000 1e-10 0x1F",
        "½ 12½3 x² Ⅷ ١٢٣٤ ４５６ 一二三 ₂",
        "tabs\tand\t\ttabs \t mixed\nlines\n\n\nmore\r\nwindows\r\n\r\n  indented\n\tcode \n \n x",
        "\n",
        "\n\n",
        " \n",
        "\n ",
        "\t",
        "   ",
        "a ",
        " a",
        "a\n",
        "\na",
        "nbsp\u00A0\u00A0here, line\u2028sep\u2029para\u3000wide\u2003em\u200Bzero",
        "Wait... what?! (yes) [no] {maybe} <tag> \"quoted\" `code` #hash @at $5 100% a&b a*b a^b",
        "a/b //comment\n/* block */\n https://example.org/path?q=1&r=2#frag a\\b --- === >>> |||",
        "!!\n??\n\n.\r\n)\n  ;\n",
        "snake_case __init__ CamelCase HTTPServer iPhone eBay McDonald",
        "café naïve Straße İstanbul ÀÉÎÕÜ àéîõü ñandú œuvre Łódź čeština",
        "Ελληνικά ΚΕΦΑΛΑΙΑ Привет МИР здравствуйте украї́нська",
        "你好，世界！这是一个测试。三百六十五 你好hello世界 2024年1月",
        "日本語のテキスト カタカナ ひらがな 漢字かな交じり文 ー・「括弧」",
        "한국어 텍스트 안녕하세요 ㄱㄴㄷ 가나다123",
        "ภาษาไทยไม่มีวรรค ລາວ ខ្មែរ မြန်မာ",
        "हिन्दी में लिखा हुआ বাংলা தமிழ் తెలుగు मराठी।",
        "العربية نصّ مع تشكيل فارسی אנגלית עברית",
        "x\u0301y\u20D0z a\u20D0 \u0301alone q\u0308word",
        "😀 👍🏽 👨‍👩‍👧‍👦 🇩🇪 ❤️ smile😀text 😀😀😀",
        "€£¥ ≤ ≥ ∑∫ → ← © ® ™ § ° µ … — – ‘quotes’ “double” «guillemets» ‹›",
        "\u0001control\u007F \uFFFD \uE000private",
        "IMGIMGABCZ <sentinel:12> <|not_a_token|> [x]",
        "for (int i = 0; i < 10; ++i) {\n    printf(\"%d\\n\", i);\n}\n",
        "def f(x):\n\treturn x**2  # square\n\n\nclass A:\n    pass\n",
        "| a | b |\n|---|---|\n| 1 | 2 |\n\n- item\n* item\n1. item\n",
        "word word  word\tword\nword.word,word;word:word!word?word-word_word/word\\word",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbb ........ ------------ ================",
        "Ａ ｆｕｌｌ ｗｉｄｔｈ ﬁ ligature ㎏ ǅ ǲ ʰ ᵃ ª º",
        "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𠀀𠀁 𐍈 𒀀 🜁",
    };
    for (const int count : {3, 7, 8, 9, 15, 16, 17, 33}) {
      texts.push_back(fmt::format("x{:{}}y", "", count));
      texts.push_back(fmt::format("{:{}}z", "", count));
      texts.push_back(fmt::format("x{:\n<{}}y", "", count));
      texts.push_back(fmt::format("n {:7<{}} m", "", count));
    }
    return texts;
  }();
  return probes;
}

}  // namespace ridgeline
