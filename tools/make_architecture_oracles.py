#!/usr/bin/env python3
"""Write the oracles of tests/data/oracles/architectures.

    make_architecture_oracles.py [--out DIR] [--only NAME ...] [--server llama-server] \\
        [--save DIR]

Each case is a small model of one architecture with made-up weights. What is stored
is not the model but its recipe: GGUF's metadata and, for each tensor, its name,
shape, mean and spread; the values are a hash of name and index that the tests compute
again (tests/support/recipe_model.cpp). The same values go into the Hugging Face
transformers class, whose float32 logits (hidden states, for encoders) are the oracle.
With --server, llama.cpp's greedy tokens on the same GGUF are stored too, and the
largest difference of a log-probability (of an embedding's element) to transformers
is printed and recorded. --save keeps the GGUF files and the Hugging Face folders.
Needs torch, transformers, gguf and NumPy.
"""
import argparse
import json
import pathlib
import re
import tempfile

import gguf
import numpy as np
import torch
import transformers

import make_llamacpp_oracle as llamacpp
from architecture_cases import CASES, VOCAB
from expert_cases import Parts

KEPT_POSITIONS = 4   # logits stored for the last positions of the prompt
GREEDY_STEPS = 24
TEXT = ("The ferryman counted his coins twice, looked at the grey river, and said "
        "nothing at all until the far bank.")


def hashed(name, count):
    """Uniform in (-1, 1): 24 bits of splitmix64, seeded with the FNV-1a hash of the name."""
    seed = 0xcbf29ce484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001b3 % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9e3779b97f4a7c15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xbf58476d1ce4e5b9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94d049bb133111eb)
        z = z ^ (z >> np.uint64(31))
    return ((z >> np.uint64(40)).astype(np.float64) - 8388607.5) / 8388608.0


def values_of(tensor):
    if "values" in tensor:
        return np.array(tensor["values"], np.float32)
    shape = tensor["shape"]
    noise = hashed(tensor["name"], int(np.prod(shape)))
    return (tensor["mean"] + tensor["spread"] * noise).astype(np.float32).reshape(shape)


def describe(name, shape, gains):
    """Sharp attention and logits of a few units: whoever drops a bias, a norm or a scale
    is off by far more than rounding."""
    if "norm" in name and name.endswith("weight"):
        mean, spread = 1.0, 0.5
    elif name.endswith("bias"):
        mean, spread = 0.0, 0.6
    else:
        gain = next((g for part, g in gains.items() if part in name), 1.0)
        mean, spread = 0.0, float(np.float32(gain * (3.0 / shape[-1]) ** 0.5))
    return {"name": name, "shape": list(shape), "mean": mean, "spread": spread}


def interleave_halves(weight, heads):
    """Rows of a rotate-half projection in the order of llama's pairwise rope."""
    rows = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return np.ascontiguousarray(rows.swapaxes(1, 2).reshape(weight.shape))


def to_halves(weight, heads):
    rows = weight.reshape(heads, weight.shape[0] // heads // 2, 2, *weight.shape[1:])
    return np.ascontiguousarray(rows.swapaxes(1, 2).reshape(weight.shape))


class Case:
    def __init__(self, name):
        self.name = name
        c = CASES[name]
        self.arch, self.length = c["arch"], c.get("length", 40)
        self.config = getattr(transformers, c["cls"] + "Config" if "config" not in c else c["config"])(
            **c["options"])
        self.config._attn_implementation = "eager"
        self.config._experts_implementation = "eager"
        self.model = getattr(transformers, c["model"])(self.config).eval()
        self.metadata = {(k if k.startswith(("general", "tokenizer")) else f"{self.arch}.{k}"): v
                         for k, v in c["metadata"].items()}
        self.encoder = c.get("encoder", False)
        self.no_llamacpp = c.get("no_llamacpp")
        self.server_args = c.get("server_args", [])
        gains = c.get("gains", {"attn_q": 2.0, "attn_k": 2.0, "attn_qkv": 1.5, "embd": 3.0,
                                "output.weight": 3.0})
        self.tensors = []
        biases = [b for b in self.model.named_buffers() if b[0].endswith("correction_bias")]
        for hf_name, p in [*self.model.named_parameters(), *biases]:
            kind, gguf_name = self.map_name(hf_name, c["names"])
            if gguf_name is None:
                continue
            if isinstance(kind, Parts):
                parts = [describe(n, s, gains) for n, s in zip(gguf_name, kind.shapes(p.shape))]
                self.tensors += parts
                self.set(p, kind.join(*map(values_of, parts)))
                continue
            shape = tuple(p.shape)[::-1] if kind == "transposed" else tuple(p.shape)
            tensor = describe(gguf_name, shape, gains)
            self.tensors.append(tensor)
            value = values_of(tensor)
            if kind == "transposed":
                value = value.T
            elif kind == "plus one":
                value = value - np.float32(1)
            elif kind == "interleaved":
                heads = self.config.num_attention_heads if "_q" in gguf_name else \
                    self.config.num_key_value_heads
                value = to_halves(value, heads)
            self.set(p, value)
        for name, values in c.get("extra", {}).items():
            self.tensors.append({"name": name, "shape": [len(values)], "values": values})

    @staticmethod
    def set(parameter, value):
        assert tuple(parameter.shape) == value.shape, (parameter.shape, value.shape)
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(value)))

    @staticmethod
    def map_name(hf_name, names):
        for pattern, target in names:
            m = re.fullmatch(pattern, hf_name)
            if m:
                if isinstance(target, Parts):
                    return target, [m.expand(n) for n in target.names]
                kind, target = target if isinstance(target, tuple) else ("same", target)
                return kind, target and m.expand(target)
        raise SystemExit(f"no GGUF name for {hf_name}")

    def write_gguf(self, path):
        w = gguf.GGUFWriter(path, self.arch)
        for key, value in self.metadata.items():
            add = {bool: w.add_bool, int: w.add_uint32, float: w.add_float32, str: w.add_string,
                   list: w.add_array}[type(value)]
            add(key, value)
        special = {"bert": ["[UNK]", "[CLS]", "[SEP]"]}.get(self.arch, ["<unk>", "<s>", "</s>"])
        if self.encoder:
            w.add_tokenizer_model("bert")
            w.add_token_list(special + [f"\u2581{chr(0x100 + b)}" for b in range(256)])
            w.add_token_types([2, 3, 3] + [1] * 256)
            w.add_sep_token_id(2)
        else:
            w.add_tokenizer_model("llama")
            w.add_token_list(special + [f"<0x{b:02X}>" for b in range(256)])
            w.add_token_types([2, 3, 3] + [6] * 256)
        w.add_token_scores([0.0] * VOCAB)
        w.add_bos_token_id(1)
        w.add_eos_token_id(2)
        w.add_unk_token_id(0)
        for tensor in self.tensors:
            w.add_tensor(tensor["name"], values_of(tensor))
        w.write_header_to_file()
        w.write_kv_data_to_file()
        w.write_tensors_to_file()
        w.close()

    def run(self, ids):
        with torch.no_grad():
            out = self.model(torch.tensor([ids]))
        return (out.last_hidden_state if self.encoder else out.logits)[0].float().numpy()


def log_softmax(x):
    x = x.astype(np.float64)
    return x - x.max() - np.log(np.exp(x - x.max()).sum())


def ask_llamacpp(case, path, a, ids, output):
    """Tokens and gaps of llama.cpp, and how far it is from transformers."""
    args = llamacpp.SERVER_ARGS
    if case.encoder:
        llamacpp.SERVER_ARGS = args + ["--embedding", "--pooling", "none"]
    try:
        with llamacpp.Server(a.server, path, a.port) as server:
            if case.encoder:
                got = np.array(server.get("/embeddings", {"content": ids})[0]["embedding"])
                return {"difference": float(f"{np.abs(got - output).max():.2g}")}
            worst = 0.0
            for i in range(KEPT_POSITIONS):
                end = len(ids) - KEPT_POSITIONS + i + 1
                expected = log_softmax(output[end - 1])
                got = server.distribution(ids[:end], VOCAB, reuse=False)
                worst = max(worst, max(abs(expected[t] - p) for t, p in got))
            tokens, gaps = list(ids), []
            for _ in range(GREEDY_STEPS):
                (best, p1), (_, p2) = server.distribution(tokens, 2)
                tokens.append(best)
                gaps.append(round(p1 - p2, 5))
            return {"engine": a.engine, "difference": float(f"{worst:.2g}"),
                    "greedy_ids": tokens[len(ids):], "greedy_gap": gaps}
    finally:
        llamacpp.SERVER_ARGS = args


def dump(path, record):
    def line(key, value):
        if key == "tensors":
            rows = ",\n".join("  " + json.dumps(t) for t in value)
            return f' "tensors": [\n{rows}\n ]'
        return f" {json.dumps(key)}: {json.dumps(value)}"
    path.write_text("{\n" + ",\n".join(line(k, v) for k, v in record.items()) + "\n}\n")


def make(name, a):
    case = Case(name)
    ids = ([1] + [3 + b for b in TEXT.encode()])[:case.length]
    output = case.run(ids)
    record = {"name": name, "architecture": case.arch, "class": type(case.model).__name__,
              "transformers": transformers.__version__, "torch": torch.__version__,
              "encoder": case.encoder, "metadata": case.metadata, "tensors": case.tensors,
              "prompt_ids": ids, "first_position": len(ids) - KEPT_POSITIONS,
              "positions": KEPT_POSITIONS, "width": output.shape[1]}
    if case.encoder:
        record["mean"] = [float(f"{v:.7g}") for v in output.mean(0)]
        record["first"] = [float(f"{v:.7g}") for v in output[0]]
    note = ""
    with tempfile.TemporaryDirectory() as scratch:
        folder = a.save or pathlib.Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.gguf"
        case.write_gguf(path)
        if a.save:
            case.model.save_pretrained(folder / name)
        old = a.out / f"{name}.json"
        if case.no_llamacpp:
            record["llamacpp"] = {"left_out": case.no_llamacpp}
        elif a.server:
            record["llamacpp"] = ask_llamacpp(case, path, a, ids, output)
        elif old.exists():
            record["llamacpp"] = json.loads(old.read_text()).get("llamacpp")
        note = json.dumps(record.get("llamacpp", {}).get("difference"))
    output[-KEPT_POSITIONS:].astype("<f4").tofile(a.out / f"{name}.f32")
    record["difference_to_f64"] = 0.0
    case.model.double()
    record["difference_to_f64"] = float(f"{np.abs(case.run(ids) - output).max():.2g}")
    dump(a.out / f"{name}.json", record)
    print(f"{name}: {sum(int(np.prod(t['shape'])) for t in case.tensors)} weights, output "
          f"{output.min():.2f}..{output.max():.2f}, std {output.std():.2f}, f32 against f64 "
          f"{record['difference_to_f64']}, llama.cpp {note}", flush=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    here = pathlib.Path(__file__).resolve().parent.parent
    ap.add_argument("--out", type=pathlib.Path, default=here / "tests/data/oracles/architectures")
    ap.add_argument("--only", nargs="*", choices=CASES)
    ap.add_argument("--server", help="llama.cpp's llama-server")
    ap.add_argument("--engine", default="llama.cpp", help="name and version for the record")
    ap.add_argument("--port", type=int, default=18211)
    ap.add_argument("--save", type=pathlib.Path, help="keep the models in this folder")
    a = ap.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for name in a.only or CASES:
        make(name, a)


if __name__ == "__main__":
    main()
