#!/usr/bin/env python3
"""Writes pre_tokenizer_splits.tsv: how the models' own regular expressions cut texts.

An oracle apart from PCRE2: Python's regex module (apt install python3-regex) runs the
expressions of the models' tokenizer.json, each on the pieces that the ones before it
left. One line a text: the pre-tokenizer's name, then the pieces, tab-separated; tab,
line feed, carriage return and backslash are written \\t, \\n, \\r, \\\\.

    python3 tests/data/text/make_pre_tokenizer_splits.py > tests/data/text/pre_tokenizer_splits.tsv
"""
import regex

# Unicode's White_Space, which is what \s means in the models' own engines.
SPACE = r"\t-\r\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CL100K = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
CJK = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
UPPER, LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
# Of DeepSeek's list of cased letters what the texts below have.
CASED = r"A-Za-z\xb5\xc0-\xd6\xd8-\xf6\xf8-\u01ba\u0370-\u0373\u0388-\u038a\u038e-\u03a1\u03a3-\u03f5\u0410-\u0481"

PATTERNS = {
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
    "gpt-2": [GPT2],
    "llama-bpe": [CL100K + r"\p{N}{1,3}" + TAIL],
    "qwen2": [CL100K + r"\p{N}" + TAIL],
    "deepseek-llm": [r"[\r\n]", r"\s?[" + CASED + "]+",
                     "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+",
                     r"\s+$", CJK, r"\p{N}+"],
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", CJK, r"\p{N}"],
    "smollm": [r"\p{N}", GPT2],
    "tekken": [rf"[^\r\n\p{{L}}\p{{N}}]?[{UPPER}]*[{LOWER}]+|[^\r\n\p{{L}}\p{{N}}]?[{UPPER}]+[{LOWER}]*"
               r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"],
}

TEXTS = [
    "I'LL say: it's 12345 o'clock!\r\n\n  x",
    "We'Ve a'lL they're 'REd don't''t",
    "a  b\t\tc \n d   ",
    "   \n \n\n   \t x",
    "trailing spaces   ",
    "\u00a1Hola,  se\u00f1or!  \u4e2d\u6587\u5b57 \uac00\ub098\u3000\u2116\u00bd\uff13",
    "x=1;//$y+2\n\n\n",
    "if (a<b && c>=10) {\n\treturn \"a|b\\\\\"; /* ok */\n}",
    "ab\u180ec\u3000\u3000d\u0085e\u00a0\u00a0f\u2029g",
    "camelCaseHTTPServer2 \u01c5x \u02b0\u00aa",
    "\u65e5\u672c\u8a9e\u306e\u30c6\u30b9\u30c8\u3002\u300c\u306f\u3044\u300d1234\u5e74",
    "\U0001f999\U0001f999 ok\U0001f468\u200d\U0001f469\u200d\U0001f466 e\u0301\u0327 \u0915\u094d\u0937\u093f",
    "\u041d\u0435\u0449\u043e 1\u0665\u2167\u00b2 \u03b1\u03b2\u03b3",
    "\x01 \x7f\ufeffz",
]


def split(patterns, text):
    pieces = [text]
    for pattern in patterns:
        for before, after in ((r"[^\s", f"[^{SPACE}"), (r"\S", f"[^{SPACE}]"), (r"\s", f"[{SPACE}]")):
            pattern = pattern.replace(before, after)
        finer = []
        for piece in pieces:
            at = 0
            for match in regex.finditer(pattern, piece):
                finer += [piece[at:match.start()], match.group()]
                at = match.end()
            finer.append(piece[at:])
        pieces = [piece for piece in finer if piece]
    return pieces


def escape(piece):
    return piece.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


for name, patterns in PATTERNS.items():
    for text in TEXTS:
        pieces = split(patterns, text)
        assert "".join(pieces) == text
        print(name, *map(escape, pieces), sep="\t")
