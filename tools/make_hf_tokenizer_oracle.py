#!/usr/bin/env python3
"""Write the oracle of tests/data/oracles/hf_tokenizers.

    make_hf_tokenizer_oracle.py [--out DIR] [--random N] [--seed N] [--only NAME]
                                [--full-charsmap] [--train-on FILE --vocab N]

Small vocabularies are trained with Hugging Face's tokenizers library, under the
normalizers, pre-tokenizers, models, post-processors and decoders of the models that
people use; what the library makes of texts is stored beside them:

    texts.json             texts that people read, then random ones
    NAME.tokenizer.json    as the library writes it
    NAME.expected.json     what it makes of the texts
    components.json        normalizers and pre-tokenizers alone, with what a model that
                           tells all of its words and characters makes of the texts

Texts are within Unicode 14, of which utf8proc, PCRE2 and the library agree. Needs
tokenizers and sentencepiece, and Python 3.11 for its Unicode 14.
"""
import argparse
import base64
import json
import pathlib
import random
import re
import tempfile
import unicodedata

import sentencepiece
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers,
                        pre_tokenizers, processors, trainers)

assert unicodedata.unidata_version == "14.0.0"

CORPUS = """The ferryman counted his coins twice, looked at the grey river, and said nothing.
Once upon a time there were two brothers who lived by the sea; they didn't speak for years.
I'll say it's what we've done: they're here, you'd know, I'm sure. DON'T SHOUT, HE'S HERE.
In 2024 the price rose from 1,234.50 to 98,765 — about 40% (or 3/5) in 12345678 days!!!
def main(argv):\n    for i in range(10):\n        print(f"{i}: {argv[i]!r}")\n    return 0
int main(void) { printf("hello, world\\n"); return x[i] += y->z ? a && b : c || d; }
    four spaces,\tand a tab;  two spaces   three.   \n\n\nThen   more.
Les élèves étudiaient à l'école près de la forêt où naïvement Noël façonnait des œuvres.
Der Fährmann zählte seine Münzen; die Straße war naß, und Größe heißt überall Übermut.
Быстрая коричневая лиса прыгает через ленивую собаку. Съешь же ещё этих мягких булок.
Η γρήγορη καφέ αλεπού πηδάει πάνω από το τεμπέλικο σκυλί. Ελληνικά γράμματα.
السلام عليكم ورحمة الله، كيف حالك اليوم؟ שלום עולם, מה שלומך היום?
今天天气很好，我们去公园散步吧。中文分词测试：人工智能、机器学习。
吾輩は猫である。名前はまだ無い。カタカナとひらがなとﾊﾝｶｸ。
안녕하세요 세계! 오늘은 날씨가 좋네요. हिन्दी में लिखा हुआ वाक्य। ภาษาไทยไม่มีช่องว่าง
Emoji: 🙂🙃 👩‍👩‍👧‍👦 🇩🇪🇫🇷 👍🏽 and math: ∑ᵢ xᵢ² ≤ ½·π ≈ 1.57 → ∞.
"""

READ = [
    "", " ", "  ", "\n", "\t \n", "a", "Hello world", " Hello  world ", "Hello, y'all! How are you?",
    "I'LL say it's WE'VE done; ‘twas ’s ’t", "x=1;\n\n\ty = 3.14159;  z\u00a0= 12345678",
    "  leading", "trailing  ", "a\r\nb\r\n\r\nc\rd", "    def f(x):\n        return x\n",
    "naïve café — Übergröße", "e\u0301 \u1e9b\u0323 ﬁ ① Ⅷ ｆｕｌｌ ㎏ \u212b",
    "Ελληνικά ΣΊΣΥΦΟΣ ςσ", "Быстрая лиса", "İstanbul ıI", "שלום עולם", "السلام عليكم ٣٤٥",
    "今天天气很好，我们去公园。", "カタカナ ｶﾞｷﾞ ひらがな", "한국어 각", "हिन्दी में", "ภาษาไทย",
    "🙂 👩‍👩‍👧‍👦 🇩🇪 👍🏽", "\u200b\u200d\ufeff\u00ad zero", "\x00\x01\x7f\x85control",
    "<s>hi</s> <unk> <pad>", "▁a▁▁b ▁", "a<m>b <m> c", "[CLS] x [SEP][MASK]", "``x'' 'y'",
    "co-operate re-do... what?! (yes) [no] {maybe} #1 @me $5 50% a_b^c~d|e\\f/g<h>i=j+k`l",
    "1 12 123 1234 12345 ½ ² Ⅷ ١٢٣ 一二三", "aaaaaaaaaaaaaaaaaaaa", "word\u3000ideographic",
    "<|im_start|>user\nHi<|im_end|>", "ŉ ǅ ΐ \u0130 ß ẞ", "\U0001d518\U0001d52b 𠀀 \U000e0001",
]

SPACES = [" ", "  ", "\n", "\t", "\r\n", "\u00a0", "\u3000", "   ", "\u2028", "\x85"]
ASSIGNED = [chr(c) for c in range(0x110000)
            if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]
PRIVATE = ["\ue000", "\U000f0000"]
COMMON = [c for c in CORPUS if not c.isspace()]
COMBINING = [c for c in ASSIGNED if unicodedata.combining(c)]
WORDS = CORPUS.split()


def random_text(rng):
    parts = []
    for _ in range(rng.randint(1, 12)):
        kind = rng.randint(0, 9)
        if kind < 3:
            parts.append(rng.choice(WORDS))
        elif kind < 5:
            parts.append("".join(rng.choice(COMMON) for _ in range(rng.randint(1, 6))))
        elif kind < 7:
            parts.append("".join(rng.choice(ASSIGNED) for _ in range(rng.randint(1, 4))))
        elif kind == 7:
            parts.append(rng.choice(COMMON) + rng.choice(COMBINING) + rng.choice(COMBINING))
        elif kind == 8:
            parts.append("".join(rng.choice("0123456789.,'-") for _ in range(rng.randint(1, 8))))
        else:
            parts.append(rng.choice(["<s>", "</s>", "<m>", "▁", "[MASK]", "<|endoftext|>",
                                     "<extra>", "'s", "'LL", "\n\n", "<0x0A>"] + PRIVATE))
        if rng.random() < 0.7:
            parts.append(rng.choice(SPACES))
    return "".join(parts)


GPT2 = (r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
          r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
         r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
         r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
          r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|"
          r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
KIMI = (r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*"
        r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+"
        r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
        r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK3 = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"
             r" ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
# The letters that have case; real files have them as they are.
DEEPSEEK_LETTERS = "\\s?[" + re.sub(r"\\x\{(\w+)\}", lambda m: chr(int(m[1], 16)), (
    r"A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293}"
    r"\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}"
    r"\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}"
    r"\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}"
    r"\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}"
    r"\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}"
    r"\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}"
    r"\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}"
    r"\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}"
    r"\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F}"
    r"\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}"
    r"\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F}"
    r"\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}"
    r"\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}\x{104B0}-\x{104D3}"
    r"\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}"
    r"\x{1E900}-\x{1E943}")) + "]+"
CLIP = (r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


def byte_level(**kwargs):
    return pre_tokenizers.ByteLevel(**{"add_prefix_space": False, "use_regex": False, **kwargs})


def template(single, special):
    return processors.TemplateProcessing(single=single, pair=single + " $B:1",
                                         special_tokens=special)


def special(text, **kwargs):
    return AddedToken(text, special=True, normalized=False, **kwargs)


class Options:
    """From the command line: what the vocabularies are trained on, and how large they are."""
    corpus = CORPUS.splitlines(keepends=True) + [CORPUS]
    vocab = 0
    charsmap = ""


def vocab_size(size):
    return Options.vocab or size


def train_bpe(normalizer, pre_tokenizer, size, specials=(), byte_level_alphabet=False, **kwargs):
    """Vocabulary and merges."""
    tokenizer = Tokenizer(models.BPE(**kwargs))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size(size), special_tokens=list(specials), show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if byte_level_alphabet else [],
        **{k: v for k, v in kwargs.items()
           if k in ("continuing_subword_prefix", "end_of_word_suffix")})
    tokenizer.train_from_iterator(Options.corpus, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(merge) for merge in model["merges"]]


def byte_level_bpe(pre_tokenizer, normalizer=None, specials=("<|endoftext|>",), size=400, **kwargs):
    vocab, merges = train_bpe(normalizer, pre_tokenizer, size, byte_level_alphabet=True)
    tokenizer = Tokenizer(models.BPE(vocab, merges, **kwargs))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.add_special_tokens([special(text) for text in specials])
    return tokenizer


def sequence(*parts):
    return pre_tokenizers.Sequence(list(parts))


def byte_fallback_bpe(specials=("<unk>", "<s>", "</s>"), size=480, pieces=()):
    """A vocabulary as SentencePiece's BPE has it, converted."""
    words, merges = train_bpe(None, pre_tokenizers.Metaspace(), size - 256)
    vocab = {}
    for token in [*specials, *(f"<0x{byte:02X}>" for byte in range(256)), *pieces, *words]:
        vocab.setdefault(token, len(vocab))
    merges = [(a, b) for i, a in enumerate(pieces) for b in pieces[:i + 1] if a + b in pieces] + merges
    return Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))


LLAMA_DECODER = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                 decoders.Strip(" ", 1, 0)]
LLAMA_SPECIALS = [special("<unk>"), special("<s>"), special("</s>")]


def llama2():
    tokenizer = byte_fallback_bpe()
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"),
                                                 normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(LLAMA_DECODER)
    tokenizer.add_special_tokens(LLAMA_SPECIALS)
    tokenizer.post_processor = template("<s> $A", [("<s>", 1)])
    return tokenizer


def mistral():
    """And Llama 2 without `legacy`."""
    tokenizer = byte_fallback_bpe(size=420)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(LLAMA_DECODER)
    tokenizer.add_special_tokens(LLAMA_SPECIALS + [special("[INST]"), special("[/INST]")])
    tokenizer.post_processor = template("<s> $A </s>", [("<s>", 1), ("</s>", 2)])
    return tokenizer


def phi3():
    tokenizer = llama2()
    tokenizer.add_special_tokens([special("<|im_end|>", rstrip=True), special("<m>", rstrip=True),
                                  special("<pad>", lstrip=True, rstrip=True)])
    tokenizer.add_tokens([AddedToken("</s>", rstrip=True, normalized=False, special=False)])
    return tokenizer


def gemma():
    tokenizer = byte_fallback_bpe(("<pad>", "</s>", "<s>", "<unk>", "<m>"),
                                  pieces=["\n", "\n\n", "▁▁", "▁▁▁"], size=440)
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence(LLAMA_DECODER[:3])
    tokenizer.add_special_tokens([special("<pad>"), special("</s>"), special("<s>"),
                                  special("<unk>")])
    tokenizer.add_tokens([AddedToken(text, normalized=False)
                          for text in ("<m>", "\n\n", "▁▁", "▁▁▁")])
    tokenizer.post_processor = template("<s> $A", [("<s>", 2)])
    return tokenizer


def llama3():
    tokenizer = byte_level_bpe(sequence(split(LLAMA3), byte_level()), ignore_merges=True,
                               specials=("<|begin_of_text|>", "<|endoftext|>", "<|im_start|>",
                                         "<|im_end|>"))
    bos = tokenizer.token_to_id("<|begin_of_text|>")
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        template("<|begin_of_text|> $A", [("<|begin_of_text|>", bos)])])
    return tokenizer


def roberta():
    tokenizer = byte_level_bpe(pre_tokenizers.ByteLevel(add_prefix_space=True),
                               specials=("<s>", "<pad>", "</s>", "<unk>"), size=320)
    tokenizer.add_special_tokens([special("<m>", lstrip=True)])
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", tokenizer.token_to_id("</s>")), ("<s>", tokenizer.token_to_id("<s>")))
    return tokenizer


def clip():
    normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "),
                                       normalizers.Lowercase()])
    pre_tokenizer = sequence(split(CLIP, "removed", True), byte_level())
    vocab, merges = train_bpe(normalizer, pre_tokenizer, 700, ["<|startoftext|>", "<|endoftext|>"],
                              True, end_of_word_suffix="</w>", unk_token="<|endoftext|>")
    for letter in pre_tokenizers.ByteLevel.alphabet():
        vocab.setdefault(letter + "</w>", len(vocab))
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<|endoftext|>",
                                     end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.BPEDecoder("</w>")
    tokenizer.add_special_tokens([special("<|startoftext|>"), special("<|endoftext|>")])
    tokenizer.post_processor = processors.RobertaProcessing(
        ("<|endoftext|>", 1), ("<|startoftext|>", 0), trim_offsets=False, add_prefix_space=False)
    return tokenizer


def openai_gpt():
    vocab, merges = train_bpe(normalizers.BertNormalizer(lowercase=True),
                              pre_tokenizers.BertPreTokenizer(), 420, ["<unk>"],
                              end_of_word_suffix="</w>", unk_token="<unk>")
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", end_of_word_suffix="</w>",
                                     fuse_unk=False))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.BPEDecoder("</w>")
    return tokenizer


def subword_prefix():
    vocab, merges = train_bpe(None, pre_tokenizers.Whitespace(), 400, ["[UNK]"],
                              continuing_subword_prefix="##", unk_token="[UNK]")
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="[UNK]", fuse_unk=True,
                                     continuing_subword_prefix="##"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece(cleanup=False)
    return tokenizer


def bert(lowercase):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=12))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(Options.corpus, trainers.WordPieceTrainer(
        vocab_size=vocab_size(500), special_tokens=names, show_progress=False))
    tokenizer.decoder = decoders.WordPiece()
    if lowercase:
        tokenizer.post_processor = template("[CLS]:0 $A:0 [SEP]:0", [("[CLS]", 2), ("[SEP]", 3)])
    else:
        tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def unigram(normalizer, pre_tokenizer, specials, size=320, **kwargs):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.train_from_iterator(Options.corpus, trainers.UnigramTrainer(
        vocab_size=vocab_size(size), special_tokens=specials, unk_token="<unk>",
        show_progress=False))
    tokenizer.decoder = decoders.Metaspace()
    if kwargs:
        file = json.loads(tokenizer.to_str())
        file["model"].update(kwargs)
        tokenizer = Tokenizer.from_str(json.dumps(file))
    return tokenizer


def small_charsmap():
    """A part of nmt_nfkc's map, and sequences within others, compiled by SentencePiece."""
    if Options.charsmap:
        return Options.charsmap
    rules = {"\r": " ", "\n": " ", "\t": " ", "\u3000": " ", "\u00a0": " ", "\u200b": "",
             "\ufeff": "", "\x01": "", "①": "1", "Ⅷ": "VIII", "ﬁ": "fi", "㎏": "kg", "½": "1⁄2",
             "e\u0301": "é", "E\u0301": "É", "ｶ": "カ", "ｶﾞ": "ガ", "ﾞ": "\u3099", "…": "...",
             "\u212b": "\u00c5", "\u00b4": " \u0301"}
    rules.update({chr(0xff01 + i): chr(0x21 + i) for i in range(94)})
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        (path / "rules.tsv").write_text("".join(
            " ".join(f"{ord(c):X}" for c in key) + "\t" + " ".join(f"{ord(c):X}" for c in value) + "\n"
            for key, value in rules.items()))
        return train_charsmap(path, f"--normalization_rule_tsv={path / 'rules.tsv'}")


def train_charsmap(path, rule):
    (path / "corpus.txt").write_text(CORPUS)
    sentencepiece.SentencePieceTrainer.Train(
        f"--input={path / 'corpus.txt'} --model_prefix={path / 'm'} --vocab_size=300 "
        f"--hard_vocab_limit=false --minloglevel=2 {rule}")
    normalizer_spec = protobuf_field((path / "m.model").read_bytes(), 3)
    return base64.b64encode(protobuf_field(normalizer_spec, 2)).decode()


def protobuf_field(message, wanted):
    """The bytes of a field; the messages here have no others before it than such and varints."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        key = varint()
        size = varint()
        if key & 7 == 2:
            if key >> 3 == wanted:
                return message[at:at + size]
            at += size
    raise ValueError(f"no field {wanted}")


def full_charsmap():
    with tempfile.TemporaryDirectory() as folder:
        return train_charsmap(pathlib.Path(folder), "--normalization_rule_name=nmt_nfkc")


def precompiled():
    return normalizers.Precompiled(base64.b64decode(small_charsmap()))


def t5():
    tokenizer = unigram(precompiled(), sequence(pre_tokenizers.WhitespaceSplit(),
                                                pre_tokenizers.Metaspace()),
                        ["<pad>", "</s>", "<unk>", "<extra>"])
    tokenizer.post_processor = template("$A </s>", [("</s>", 1)])
    return tokenizer


def xlm_r():
    tokenizer = unigram(normalizers.Sequence([precompiled(),
                                              normalizers.Replace(Regex(" {2,}"), " ")]),
                        pre_tokenizers.Metaspace(), ["<s>", "<pad>", "</s>", "<unk>"])
    tokenizer.add_special_tokens([AddedToken("<m>", lstrip=True, special=True, normalized=True)])
    tokenizer.post_processor = template("<s> $A </s>", [("<s>", 0), ("</s>", 2)])
    return tokenizer


def albert():
    tokenizer = unigram(
        normalizers.Sequence([
            normalizers.Replace("``", '"'), normalizers.Replace("''", '"'), normalizers.NFKD(),
            normalizers.StripAccents(), normalizers.Lowercase(), precompiled(),
            normalizers.Replace(Regex(" {2,}"), " ")]),
        pre_tokenizers.Metaspace(), ["<pad>", "<unk>", "[CLS]", "[SEP]"])
    tokenizer.add_special_tokens([AddedToken("[MASK]", lstrip=True, special=True)])
    tokenizer.post_processor = template("[CLS] $A [SEP]", [("[CLS]", 2), ("[SEP]", 3)])
    return tokenizer


def unigram_bytes():
    """Llama's and Gemma's text encoders: byte fallback, no word is cut."""
    specials = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    tokenizer = unigram(None, pre_tokenizers.Metaspace(split=False), specials, 460,
                        byte_fallback=True)
    file = json.loads(tokenizer.to_str())
    file["added_tokens"] = file["added_tokens"][:3]
    tokenizer = Tokenizer.from_str(json.dumps(file))
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    return tokenizer


def word_level():
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase(),
                                                 normalizers.StripAccents()])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(Options.corpus, trainers.WordLevelTrainer(
        vocab_size=vocab_size(200), special_tokens=["[UNK]", "[PAD]"], show_progress=False))
    return tokenizer


def added_tokens():
    """Every flag, on tokens that overlap and on ones that are normalized."""
    tokenizer = byte_level_bpe(pre_tokenizers.ByteLevel(add_prefix_space=False), size=300,
                               normalizer=normalizers.Lowercase(), specials=("<s>", "</s>"))
    tokenizer.add_tokens([AddedToken("Hello", single_word=True), AddedToken("WORLD"),
                          AddedToken("he", single_word=True, normalized=False),
                          AddedToken("  ", normalized=False, rstrip=True), AddedToken("<m"),
                          AddedToken("<extra>", lstrip=True, rstrip=True), AddedToken("...")])
    tokenizer.add_special_tokens([AddedToken("<m>", lstrip=True, special=True),
                                  AddedToken("[MASK]", special=True, single_word=True)])
    return tokenizer


BYTE_LEVEL_CASES = {
    "gpt2": lambda: byte_level_bpe(pre_tokenizers.ByteLevel(add_prefix_space=False)),
    "qwen2": lambda: byte_level_bpe(sequence(split(QWEN2), byte_level()), normalizers.NFC(),
                                    ("<|endoftext|>", "<|im_start|>", "<|im_end|>")),
    "tekken": lambda: byte_level_bpe(sequence(split(TEKKEN), byte_level()), ignore_merges=True,
                                     specials=("<unk>", "<s>", "</s>", "[INST]"), size=360),
    "gpt-oss": lambda: byte_level_bpe(sequence(split(O200K), byte_level()), size=360),
    "starcoder2": lambda: byte_level_bpe(sequence(
        pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False)), size=360),
    "command-r": lambda: byte_level_bpe(sequence(
        pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False)),
        normalizers.NFC(), size=320),
    "falcon": lambda: byte_level_bpe(sequence(
        pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.ByteLevel(add_prefix_space=False),
        pre_tokenizers.Digits(False), split("[0-9][0-9][0-9]")), size=360),
    "deepseek-llm": lambda: byte_level_bpe(sequence(
        split("[\r\n]"), split(DEEPSEEK_LETTERS), split(r"\s?[!-/:-~！-／：-～‘-‟　-。]+"),
        split(r"\s+$"), split("[一-龥ࠀ-一가-퟿]+"), pre_tokenizers.Digits(True), byte_level()),
        size=360),
    "deepseek-v3": lambda: byte_level_bpe(sequence(
        split(r"\p{N}{1,3}"), split("[一-龥\u3040-ゟ゠-ヿ]+"), split(DEEPSEEK3), byte_level()),
        size=360),
    "bloom": lambda: byte_level_bpe(sequence(split(BLOOM), byte_level()), size=320),
}
CASES = {
    **BYTE_LEVEL_CASES, "llama2": llama2, "mistral": mistral, "phi3": phi3, "gemma": gemma,
    "llama3": llama3, "roberta": roberta, "clip": clip, "openai-gpt": openai_gpt,
    "subword-prefix": subword_prefix, "bert-uncased": lambda: bert(True),
    "bert-cased": lambda: bert(False), "t5": t5, "xlm-r": xlm_r, "albert": albert,
    "unigram-bytes": unigram_bytes, "word-level": word_level, "added-tokens": added_tokens,
}


def components():
    """Definitions of a normalizer and a pre-tokenizer."""
    n, p = normalizers, pre_tokenizers
    for normalizer in (n.NFC(), n.NFD(), n.NFKC(), n.NFKD(), n.Lowercase(), n.StripAccents(),
                       n.Strip(), n.Strip(True, False), n.Strip(False, True), n.Prepend("▁x"),
                       n.Nmt(), n.ByteLevel(), n.Replace("a", "bb"), n.Replace(Regex("a*"), "-"),
                       n.Replace(Regex(r"\w+\b"), "w"), n.Replace(Regex(r"^|$"), "|"),
                       n.Replace(Regex(r"(?m).\h"), "h"), n.Replace(Regex(r".\u0301?"), "."),
                       n.Sequence([n.NFD(), n.StripAccents(), n.NFC()]), precompiled(),
                       n.BertNormalizer(True, False, True, False),
                       n.BertNormalizer(False, True, False, True)):
        yield normalizer, None
    yield None, p.ByteLevel()
    for behavior in ("removed", "isolated", "merged_with_previous", "merged_with_next",
                     "contiguous"):
        yield None, p.Punctuation(behavior)
        for invert in (False, True):
            yield None, split(r"\s|[aeiou]", behavior, invert)
        yield None, p.Split(" ", behavior)
    for pattern in (GPT2, LLAMA3, O200K, KIMI, DEEPSEEK3, BLOOM, r"\b", r"\B", r"\d{1,3}+", r"\d{2}?",
                    r"(?i)hello|straße", r"[[:alpha:]&&[^a-c]]+",
                    r"[^[:punct:]\s]+", r"\p{Greek}+|\p{^L}", r"[\p{Lu}&&\p{Latin}]", r"(?<=a)b|(?<!a)c",
                    r"[]a-]+", r"\R", r"[\w&&[^\d_]]+", r"\x{4e00}|\u00e9|\p{Hiragana}"):
        yield None, split(pattern)
    for scheme in ("always", "first", "never"):
        for splits in (True, False):
            yield None, p.Metaspace("_" if scheme == "never" else "▁", scheme, splits)
    yield n.Strip(), p.Metaspace(prepend_scheme="first")
    yield n.NFKD(), sequence(p.WhitespaceSplit(), p.Metaspace(prepend_scheme="first"))
    for pre_tokenizer in (p.Whitespace(), p.WhitespaceSplit(), p.BertPreTokenizer(), p.Digits(),
                          p.Digits(True), p.CharDelimiterSplit("a"), p.FixedLength(3),
                          sequence(p.Digits(True), p.ByteLevel(), p.Punctuation())):
        yield None, pre_tokenizer


def telling_tokenizer(normalizer, pre_tokenizer):
    """Bytes as tokens, and a prefix in all but the first of a word."""
    tokenizer = Tokenizer(models.BPE({f"<0x{byte:02X}>": byte for byte in range(256)}, [],
                                     byte_fallback=True, continuing_subword_prefix="~"))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    return tokenizer


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def hash_of(ids):
    return fnv1a(b"".join(id.to_bytes(4, "little") for id in ids))


def encode(tokenizer, text, special=False):
    return tokenizer.encode(text, add_special_tokens=special).ids


def expected(tokenizer, read, randoms):
    """For texts that are read: ids, with prefix and suffix as lengths, and what differs if special
    tokens are not parsed. For the others: hashes."""
    result = {"ids": [], "unparsed": {}, "decoded": [], "decoded_all": [], "hashes": ""}
    result["full"] = encode(tokenizer, "Hello", True)
    for text in read:
        ids = encode(tokenizer, text)
        result["ids"].append(ids)
        result["decoded"].append(decoded(tokenizer, ids, text, True))
        result["decoded_all"].append(decoded(tokenizer, ids, text, False))
    for text in randoms:
        ids = encode(tokenizer, text)
        result["hashes"] += hash_of(ids)[:4] + fnv1a(tokenizer.decode(ids).encode())[:4]
    # The library lets a unigram model spell a special token; here none comes out of plain text.
    specials = {id for id, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    unknown = encode(tokenizer, "\U0001f9ff")
    specials -= set(unknown)
    tokenizer.encode_special_tokens = True
    for i, text in enumerate(read):
        ids = encode(tokenizer, text)
        if specials & set(ids) and "<" in text:
            result["unparsed"][str(i)] = None
        elif ids != result["ids"][i]:
            result["unparsed"][str(i)] = ids
    tokenizer.encode_special_tokens = False
    return result


def decoded(tokenizer, ids, text, skip):
    result = tokenizer.decode(ids, skip_special_tokens=skip)
    return None if result == text else result


def write(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = pathlib.Path(__file__).parent.parent / "tests/data/oracles/hf_tokenizers"
    parser.add_argument("--out", type=pathlib.Path, default=default)
    parser.add_argument("--random", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only")
    parser.add_argument("--full-charsmap", action="store_true")
    parser.add_argument("--train-on", type=pathlib.Path)
    parser.add_argument("--vocab", type=int, default=0)
    args = parser.parse_args()
    Options.vocab = args.vocab
    if args.full_charsmap:
        Options.charsmap = full_charsmap()
    if args.train_on:
        Options.corpus = args.train_on.read_text(errors="replace").splitlines(keepends=True)
    args.out.mkdir(parents=True, exist_ok=True)
    rng = random.Random(args.seed)
    randoms = [random_text(rng) for _ in range(args.random)]
    write(args.out / "texts.json", {"read": READ, "random": randoms})
    for name, make in CASES.items():
        if args.only not in (None, name):
            continue
        file = json.loads(make().to_str())
        write(args.out / f"{name}.tokenizer.json", file)
        tokenizer = Tokenizer.from_str(json.dumps(file))
        write(args.out / f"{name}.expected.json", expected(tokenizer, READ, randoms))
    listed = []
    for normalizer, pre_tokenizer in [] if args.only else components():
        tokenizer = telling_tokenizer(normalizer, pre_tokenizer)
        file = json.loads(tokenizer.to_str())
        listed.append({"normalizer": file["normalizer"], "pre_tokenizer": file["pre_tokenizer"],
                       "hashes": "".join(hash_of(encode(tokenizer, text))[:4]
                                         for text in READ + randoms)})
    if listed:
        write(args.out / "components.json", listed)


if __name__ == "__main__":
    main()
