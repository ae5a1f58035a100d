#!/usr/bin/env python3
"""Writes tests/data/oracles/tokenizers: what the tokenizers and sentencepiece libraries
make of awkward texts, with vocabularies that are trained here, small enough to store.

    pip install tokenizers sentencepiece
    python3 tools/make_tokenizer_oracle.py

The texts are the same in every run; which of several equally good tokens the libraries
train is not, so that a second run writes other vocabularies, with their ids.
"""
import io
import json
import pathlib
import random
import unicodedata

import sentencepiece
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "tests/data/oracles/tokenizers"

# What tokenizers stumble over; every text is also one of those that vocabularies are
# trained on, so that tokens span what a pre-tokenizer should cut.
AWKWARD = [
    "I'LL say: it's 12345 o'clock, they're 'REd don't''t we'Ve I'\u017fo\r\n\n  x",
    "a  b\t\tc \n d   \n \n\n   \t x  trailing   ",
    "\u00a1Hola,  se\u00f1or!  \u4e2d\u6587\u5b57 \uac00\ub098\u3000\u2116\u00bd\uff13 1234567 1,234.56",
    "if (a<b && c>=10) {\n\treturn \"a|b\\\\\"; /* ok */\n}\r\n\r\nx=1;//$y+2\n\n\n",
    "ab\u180ec\u3000\u3000d\u0085e\u00a0\u00a0f\u2029g\u200bh\ufeffi",
    "camelCaseHTTPServer2 \u01c5x \u02b0\u00aa iPhone15Pro's McDONALD's ABC'S",
    "\u65e5\u672c\u8a9e\u306e\u30c6\u30b9\u30c8\u3002\u300c\u306f\u3044\u300d1234\u5e74\u3001\u3007\u3005 \u4e2dabc\u6587",
    "\U0001f999\U0001f999 ok\U0001f468\u200d\U0001f469\u200d\U0001f466 e\u0301\u0327x \u0915\u094d\u0937\u093f \u2764\ufe0f1\ufe0f\u20e3",
    "\u041d\u0435\u0449\u043e 1\u0665\u2167\u00b2 \u03b1\u03b2\u0393\u03a3\u03c2 \u0160koda \u00df\u1e9e \u0130\u0131",
    "\u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22 \u0e01\u0e33 \u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd \u0645\u0631\u062d\u0628\u0627\u060c \u0967\u0968\u0969\u096a \u0964",
    "http://www.example.com/path?q=1&r=a_b#frag -- user@mail.org ...!!!??? (x) [y] {z} 'q' \"r\"",
    " leading   \t\t\ttabs\v\f and 0 00 000 0000 00000 000000\n",
    "\x01 \x7f\x00z \uffff\U0010fffd \ufffd",
    "\U0001d400\U0001d7d9 \u2160\u216b \u3042\u30a2\uff71 \uff21\uff22 \u1100\u1161 \u3131 \u0b95\u0bca \u1f98\u0345",
    "",
    " ",
    "\n",
]

PROSE = [
    "The quick brown fox jumps over the lazy dog, and the dog doesn't care.",
    "Once upon a time there was a little girl who lived in a village near the forest.",
    "Le c\u0153ur a ses raisons que la raison ne conna\u00eet point; \u00e9t\u00e9 comme hiver.",
    "\u0412\u0441\u0435 \u0441\u0447\u0430\u0441\u0442\u043b\u0438\u0432\u044b\u0435 \u0441\u0435\u043c\u044c\u0438 \u043f\u043e\u0445\u043e\u0436\u0438 \u0434\u0440\u0443\u0433 \u043d\u0430 \u0434\u0440\u0443\u0433\u0430.",
    "In 1984 there were 12 000 of them, or 3.14159 percent; 100% of 2048.",
]


def random_texts(count, seed):
    """Assigned characters of Unicode 14, spaces, digits and letters, all in a mess."""
    random_state = random.Random(seed)
    assigned = [c for c in map(chr, range(1, 0x32000))
                if unicodedata.category(c) not in ("Cn", "Cs", "Co") and is_unicode_14(c)]
    texts = []
    for _ in range(count):
        text = ""
        for _ in range(random_state.randrange(1, 25)):
            kind = random_state.randrange(6)
            if kind == 0:
                text += random_state.choice(assigned)
            elif kind == 1:
                text += random_state.choice(" \t\n\u00a0\u3000  ")
            elif kind == 2:
                text += str(random_state.randrange(2000))
            else:
                text += random_state.choice(random_state.choice(PROSE).split())[:random_state.randrange(1, 9)]
        texts.append(text)
    return texts


def is_unicode_14(c):
    return not (unicodedata.unidata_version > "14.0.0") or unicodedata.category(c) != "Cn"


def write(name, value):
    path = OUT / name
    if isinstance(value, bytes):
        path.write_bytes(value)
    else:
        path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size} bytes")


def cases(encode, decode, texts):
    ids = [encode(text) for text in texts]
    return {"ids": ids, "decoded": [decode(row) for row in ids[:25]]}


# ---------------------------------------------------------------- WordPiece

def to_ranges(code_points):
    ranges = []
    for c in sorted(code_points):
        if ranges and ranges[-1][1] == c - 1:
            ranges[-1][1] = c
        else:
            ranges.append([c, c])
    return ranges


def bert_characters():
    """For every character up to Unicode 14: what the library takes it for."""
    def normalizer(**options):
        values = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
        return normalizers.BertNormalizer(**{**values, **options}).normalize_str
    clean, cjk = normalizer(clean_text=True), normalizer(handle_chinese_chars=True)
    accents, lower = normalizer(strip_accents=True), normalizer(lowercase=True)
    split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    found = {"assigned": [], "removed": [], "space": [], "cjk": [], "punctuation": [], "accent": []}
    stripped, lowered = {}, {}
    for c in map(chr, [*range(0xD800), *range(0xE000, 0x110000)]):
        if unicodedata.category(c) == "Cn":
            continue
        found["assigned"].append(ord(c))
        text = "a" + c + "b"
        cleaned = clean(text)
        if cleaned == "ab":
            found["removed"].append(ord(c))
        elif cleaned != text:
            found["space"].append(ord(c))
        if cjk(text) != text:
            found["cjk"].append(ord(c))
        if len(split(text)) == 3:
            found["punctuation"].append(ord(c))
        if accents(c) == "":
            found["accent"].append(ord(c))
        elif accents(c) != c:
            stripped[ord(c)] = accents(c)
        if lower(c) != c:
            lowered[ord(c)] = lower(c)
    return {**{kind: to_ranges(members) for kind, members in found.items()},
            "stripped": block_hashes(stripped), "lower": block_hashes(lowered)}


def block_hashes(mapping):
    """FNV-1a of what the characters of each block of 4096 become, those that change."""
    hashes = {}
    for c, text in sorted(mapping.items()):
        value = hashes.get(c >> 12, 0xCBF29CE484222325)
        for byte in (chr(c) + text).encode():
            value = (value ^ byte) * 0x100000001B3 % 2**64
        hashes[c >> 12] = value
    return {str(block): f"{value:016x}" for block, value in hashes.items()}


def wordpiece():
    texts = AWKWARD + random_texts(40, 1) + ["x" * 101, "the" * 40]
    rows = {}
    for name, options in {
        "uncased": dict(lowercase=True),
        "cased": dict(lowercase=False),
        "lower_with_accents": dict(lowercase=True, strip_accents=False),
    }.items():
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(**options)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece()
        trainer = trainers.WordPieceTrainer(
            vocab_size=350, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"], show_progress=False)
        tokenizer.train_from_iterator((AWKWARD + PROSE) * 3, trainer)
        vocabulary = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
        rows[name] = {"options": options, "tokens": vocabulary, **cases(
            lambda text: tokenizer.encode(text).ids, tokenizer.decode, texts)}
    return {"texts": texts, "vocabularies": rows}


# ---------------------------------------------------------------- SentencePiece

# Replacements as NFKC has them, a few: one to one, one to many, many to one, to nothing,
# to a space.
RULES = [("\uff21", "A"), ("\uff22", "B"), ("\uff13", "3"), ("\u00bd", "1\u20442"), ("\u2116", "No"),
         ("e\u0301", "\u00e9"), ("e\u0301\u0327", "\u0229\u0301"), ("\u200b", ""), ("\u00a0", " "),
         ("\t", " "), ("\n", " "), ("\u3000", " "), ("\u1100\u1161", "\uac00"), ("\u01c5", "D\u017e"),
         ("\ufeff", ""), ("\u2764\ufe0f", "<3 ")]


def exact_unigram(processor):
    """sentencepiece adds scores up in float over the whole text, so that its choice between
    segmentations of the same sum ("!!" "!" and "!" "!!") is rounding's. The tokenizers library
    adds in double, which is exact; its ids are taken, if the sums are the same."""
    size = processor.get_piece_size()
    exact = Tokenizer(models.Unigram(
        [(processor.id_to_piece(i), processor.get_score(i)) for i in range(size)], processor.unk_id(),
        any(processor.is_byte(i) for i in range(size))))

    def encode(text):
        ids, theirs = exact.encode(processor.normalize(text)).ids, processor.encode(text)
        score = lambda row: sum(processor.get_score(i) for i in row)
        assert ids == theirs or abs(score(ids) - score(theirs)) < 1e-4, (text, ids, theirs)
        return ids
    return encode


def sentencepiece_models():
    rules = OUT / "rules.tsv"
    rules.write_text("".join(
        "\t".join(" ".join(f"{ord(c):X}" for c in side) for side in rule) + "\n" for rule in RULES))
    texts = [t for t in AWKWARD + random_texts(40, 2) if "\0" not in t]
    rows = {}
    for name, options in {
        "unigram": dict(model_type="unigram", normalization_rule_tsv=str(rules)),
        "unigram_bytes": dict(model_type="unigram", byte_fallback=True, remove_extra_whitespaces=False,
                              normalization_rule_name="identity", vocab_size=560, split_by_whitespace=False,
                              user_defined_symbols=["<sep>"], pad_id=3),
        "bpe": dict(model_type="bpe", normalization_rule_tsv=str(rules), add_dummy_prefix=False),
        "bpe_bytes": dict(model_type="bpe", byte_fallback=True, normalization_rule_name="identity",
                          remove_extra_whitespaces=False, vocab_size=560),
    }.items():
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(**{**dict(
            sentence_iterator=iter([t for t in texts[:14] + PROSE if t.strip()] * 4), model_writer=model,
            vocab_size=330, character_coverage=0.98, hard_vocab_limit=False, minloglevel=2, num_threads=1),
            **options})
        processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
        write(f"{name}.model", model.getvalue())
        encode = processor.encode
        if options["model_type"] == "unigram":
            encode = exact_unigram(processor)
        rows[name] = cases(encode, processor.decode, texts)
    rules.unlink()
    return {"texts": texts, "vocabularies": rows}


# ---------------------------------------------------------------- pre-tokenizers

# As the models' own tokenizer.json has them, but for the ByteLevel step that follows
# in all: strings are Split steps with behavior Isolated.
CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LINES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
WORD = r"[^\r\n\p{L}\p{N}]?"


def cl100k(digits):
    return rf"{CONTRACTION}|{WORD}\p{{L}}+|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{LINES}"


def o200k(ending=CONTRACTION + "?", digits=r"\p{N}{1,3}", upper=UPPER, lower=LOWER, slash="/"):
    return (rf"{WORD}{upper}*{lower}+{ending}|{WORD}{upper}+{lower}*{ending}|{digits}|"
            rf" ?[^\s\p{{L}}\p{{N}}]+[\r\n{slash}]*|{LINES}")


GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
DIGITS = pre_tokenizers.Digits(individual_digits=True)
KANA = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
MARKS = r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]"""
DEEPSEEK3 = MARKS + r"[A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+"
BLOOM = " ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+"
NO_HAN = r"&&[^\p{Han}]]"

PRE_TOKENIZERS = {
    "falcon": [pre_tokenizers.Punctuation("contiguous"), GPT2, pre_tokenizers.Digits(False), "[0-9][0-9][0-9]"],
    "gpt-2": [GPT2],
    "llama-bpe": [cl100k(r"\p{N}{1,3}")],
    "qwen2": [cl100k(r"\p{N}")],
    "smollm": [DIGITS, GPT2],
    "tekken": [o200k("", r"\p{N}")],
    "gpt-4o": [o200k()],
    "kimi-k2": [r"[\p{Han}]+|" + o200k(upper=UPPER[:-1] + NO_HAN, lower=LOWER[:-1] + NO_HAN, slash="")],
    "tiny_aya": [r"\d{1,3}(?=(?:\d{3})*\b)", o200k()],
    "qwen35": [rf"{CONTRACTION}|{WORD}[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{LINES}"],
    "deepseek-v3": [r"\p{N}{1,3}", KANA, DEEPSEEK3 + r"[\r\n]*|" + LINES],
    "spark2_5": [r"\p{N}{1,3}", KANA, DEEPSEEK3 + r"|[\r\n]|\s+(?!\S)|\s+", r"\p{N}"],
    "afmoe": [r"\p{N}{1,3}(?=(?:\p{N}{3})*(?:\P{N}|$))",
              "[\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff\u3040-\u309f\u30a0-\u30ff\uff65-\uff9f\u2f00-\u2fdf"
              "\u0e40-\u0e7f\u0e80-\u0eff\u1780-\u17ff\u1000-\u109f\uaa60-\uaa7f\ua9e0-\ua9ff\uac00-\ud7af"
              "\u1100-\u11ff]+", DEEPSEEK3 + r"[\r\n]*|" + LINES],
    "youtu": ["[\uac00-\ud7a3\u3131-\u318e]+|[\uff01\u2026\u201c\u201d\u2018\u2019\u2014\uff1a\uff1b\uff0c\u3001-\u303f"
              "\ufe30-\ufe4f]+|[\u3105-\u312f]+|" + KANA, o200k(digits=r"\p{N}")],
    "minicpm5": [r"\p{N}{1,3}", cl100k(r"\p{N}+")],
    "seed-coder": [rf"{CONTRACTION}|{WORD}\p{{L}}+|\p{{N}}{{1}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{LINES}"],
    "bailingmoe": [r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|"
                   r"\s*[\r\n]|\s+(?!\S)|\s+"],
    "exaone-moe": [rf"{CONTRACTION}|{WORD}(?:\p{{L}}\p{{M}}*(?: \p{{L}}\p{{M}}*)*)+|\p{{N}}|"
                   r" ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"],
    "ufakzeka": [rf"{WORD}\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{LINES}"],
    "laguna": [r"[^\n]+|[\n]+", cl100k(r"\p{N}")],
    "jais-2": [cl100k(r"\p{N}{1,3}").replace(r"\s+(?!\S)|\s+", "|".join(
        [rf"\s{{{n}}}(?!\S)" for n in (512, 256, 128, 64, 32, 16, 8, 4)] + [r"\s{1,2}(?!\S)", r"\s{1}"]))],
    "bloom": [BLOOM],
    "viking": [BLOOM, DIGITS],
    "superbpe": [r"\p{N}+", r"(?=(\d{3})+(?!\d))"],
    "chameleon": ["<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", "([\\t\\n]|    |  )", DIGITS,
                  pre_tokenizers.Punctuation("isolated"), GPT2],
}


def byte_level(merges, steps):
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = alphabet + [left + right for left, right in merges]
    tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(dict.fromkeys(tokens))}, merges))
    has_bytes = GPT2 in steps
    steps = [pre_tokenizers.Split(Regex(s), "isolated") if isinstance(s, str) else s for s in steps]
    if not has_bytes:
        steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    return tokenizer


def train(steps, texts, vocab_size):
    tokenizer = byte_level([], steps)
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=vocab_size, min_frequency=1, show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    return [tuple(m) for m in json.loads(tokenizer.to_str())["model"]["merges"]]


def byte_level_bpe():
    texts = AWKWARD + [" " * 700 + "x" + " " * 45, "<sentinel:12>IMGIMGABCZ", "1234567abc 12345 1234567"]
    # One vocabulary for all, whose merges know no boundary: so every cut shows.
    merges = train([], AWKWARD * 3 + PROSE, 1400)
    rows = {}
    for name, steps in PRE_TOKENIZERS.items():
        row = {}
        own = merges
        if name == "falcon":  # whose cuts within characters only its own training makes harmless
            own = row["merges"] = train(steps, AWKWARD * 3 + PROSE, 500)
        tokenizer = byte_level(own, steps)
        rows[name] = {**row, "ids": [tokenizer.encode(text).ids for text in texts]}
    # Ridgeline cuts numerals that are no digits off the digits before them.
    for i, text in enumerate(texts):
        if any(unicodedata.category(c) in ("Nl", "No") for c in text):
            rows["superbpe"]["ids"][i] = None
    return {"texts": texts, "merges": merges, "pre_tokenizers": rows}


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    write("bert_characters.json", bert_characters())
    write("wordpiece.json", wordpiece())
    write("byte_level_bpe.json", byte_level_bpe())
    write("sentencepiece.json", sentencepiece_models())


if __name__ == "__main__":
    main()
