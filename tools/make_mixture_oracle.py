#!/usr/bin/env python3
"""Which type llama.cpp's llama-quantize gives each tensor, on made-up models.

    tools/make_mixture_oracle.py PATH/TO/llama-quantize > tests/data/oracles/quant/mixtures.json

Needs numpy and gguf (PyPI). The models are zeros: only names, shapes and counts matter."""

import json
import os
import struct
import subprocess
import sys
import tempfile

import gguf
import numpy as np

MIXTURES = ("F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q2_K Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M "
            "Q5_K_S Q5_K_M Q6_K IQ4_NL IQ4_XS").split()


def model(name, arch, layers, heads, kv_heads, width, ffn, experts=0, tied=False, fused=False,
          mixtures=MIXTURES):
    tensors = [["token_embd.weight", [4, width]], ["output_norm.weight", [width]]]
    if not tied:
        tensors.append(["output.weight", [4, width]])
    for i in range(layers):
        b = f"blk.{i}."
        tensors.append([b + "attn_norm.weight", [width]])
        for part in ["attn_qkv"] if fused else ["attn_q", "attn_k", "attn_v"]:
            tensors.append([b + part + ".weight", [4, width]])
        tensors.append([b + "attn_output.weight", [4, width]])
        tensors.append([b + "ffn_norm.weight", [width]])
        if experts:
            tensors.append([b + "ffn_gate_inp.weight", [experts, width]])
            for part, cols in ("gate", width), ("up", width), ("down", ffn):
                tensors.append([b + f"ffn_{part}_exps.weight", [experts, 4, cols]])
        else:
            for part, cols in ("gate", width), ("up", width), ("down", ffn):
                tensors.append([b + f"ffn_{part}.weight", [4, cols]])
    return {"name": name, "architecture": arch, "layers": layers, "heads": heads,
            "kv_heads": kv_heads, "experts": experts, "width": width, "ffn": ffn,
            "tensors": tensors, "mixtures": mixtures}


MODELS = [
    model("untied", "llama", 18, 8, 2, 256, 512),
    model("tied", "llama", 18, 4, 4, 256, 512, tied=True),
    model("odd-widths", "llama", 4, 4, 4, 288, 400, mixtures=["Q4_0", "Q2_K", "Q4_K_M", "Q5_K_S",
                                                            "Q6_K", "IQ4_XS"]),
    model("eight-experts", "qwen3moe", 18, 4, 4, 256, 512, experts=8),
    model("four-experts", "llama", 10, 8, 2, 256, 512, experts=4),
    model("fused", "phi3", 10, 4, 4, 256, 512, fused=True),
    model("seventy", "llama", 80, 8, 1, 256, 512, mixtures=["Q2_K", "Q3_K_M", "Q4_K_M"]),
]


def write(path, m):
    w = gguf.GGUFWriter(path, m["architecture"])
    w.add_block_count(m["layers"])
    w.add_context_length(64)
    w.add_embedding_length(m["width"])
    w.add_feed_forward_length(m["ffn"])
    w.add_head_count(m["heads"])
    w.add_head_count_kv(m["kv_heads"])
    w.add_layer_norm_rms_eps(1e-5)
    w.add_rope_dimension_count(m["width"] // m["heads"])
    if m["experts"]:
        w.add_expert_count(m["experts"])
        w.add_expert_used_count(2)
        w.add_expert_feed_forward_length(m["ffn"])
    for name, shape in m["tensors"]:
        is_matrix = len(shape) > 1 and "gate_inp" not in name
        w.add_tensor(name, np.zeros(shape, np.float16 if is_matrix else np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def write_imatrix(path, m):
    """The old binary form, all inputs alike."""
    entries = [(n, s) for n, s in m["tensors"] if len(s) > 1]
    with open(path, "wb") as f:
        f.write(struct.pack("<i", len(entries)))
        for name, shape in entries:
            values = np.ones(shape[-1] * (shape[0] if len(shape) == 3 else 1), np.float32)
            f.write(struct.pack("<i", len(name)) + name.encode())
            f.write(struct.pack("<ii", 1, len(values)) + values.tobytes())


def types(quantize, folder, m, mixture, with_imatrix):
    out = os.path.join(folder, "out.gguf")
    weighted = ["--imatrix", os.path.join(folder, "imatrix.dat")] if with_imatrix else []
    subprocess.run([quantize, *weighted, os.path.join(folder, "in.gguf"), out, mixture, "1"],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    found = {t.name: t.tensor_type.name for t in gguf.GGUFReader(out).tensors}
    return [found[name] for name, _ in m["tensors"]]


def main():
    quantize = sys.argv[1]
    letters = {}
    out = []
    for m in MODELS:
        with tempfile.TemporaryDirectory() as folder:
            write(os.path.join(folder, "in.gguf"), m)
            write_imatrix(os.path.join(folder, "imatrix.dat"), m)
            plain, weighted = {}, {}
            for mixture in m.pop("mixtures"):
                for results, with_imatrix in (plain, False), (weighted, True):
                    results[mixture] = "".join(
                        letters.setdefault(t, chr(ord("a") + len(letters)))
                        for t in types(quantize, folder, m, mixture, with_imatrix))
            weighted = {k: v for k, v in weighted.items() if v != plain[k]}
            out.append({**m, "plain": plain, "weighted_where_it_differs": weighted})
    print(json.dumps({"letters": {v: k for k, v in letters.items()}, "models": out}))


main()
