#!/usr/bin/env python3
"""Write the block-format oracles of tests/data/oracles/quant.

    make_quant_oracle.py --libggml PATH/libggml-base.so [--out DIR]

For each type: the F32 input, the blocks that ggml's reference encoder makes of
it (no importance matrix), and what ggml decodes them to. Where the `gguf`
package has its own NumPy version of the encoder or the decoder, both must agree.
Use a libggml-base built without -march (as distributions build it): with FMA
contraction the K-quants' scale search rounds differently.
Needs NumPy and gguf.
"""
import argparse
import ctypes
import pathlib

import gguf
import numpy as np

# name, ggml type id, values per block, bytes per block
TYPES = [
    ("f16", 1, 1, 2), ("bf16", 30, 1, 2),
    ("q4_0", 2, 32, 18), ("q5_0", 6, 32, 22), ("q8_0", 8, 32, 34),
    ("q4_k", 12, 256, 144), ("q6_k", 14, 256, 210), ("q5_k", 13, 256, 176),
    ("q4_1", 3, 32, 20), ("q5_1", 7, 32, 24), ("iq4_nl", 20, 32, 18), ("mxfp4", 39, 32, 17),
    ("q2_k", 10, 256, 84), ("q3_k", 11, 256, 110), ("iq4_xs", 23, 256, 136),
]
ROW = 256
# ggml's encoders of these need an importance matrix: random blocks are decoded.
READ_ONLY = [
    ("iq2_xxs", 16, 66), ("iq2_xs", 17, 74), ("iq2_s", 22, 82),
    ("iq3_xxs", 18, 98), ("iq3_s", 21, 110),
]


def block_inputs(rng):
    """Eight rows of 256: one super-block of a K-quant each."""
    rows = np.empty((8, ROW), np.float32)
    rows[0] = rng.standard_normal(ROW) * 0.02            # a trained layer
    rows[1] = rng.standard_t(2.5, ROW) * 0.1             # heavy tails
    rows[2] = rng.standard_normal(ROW)
    rows[2, ::37] *= 60                                  # a few outliers
    rows[3] = np.abs(rng.standard_normal(ROW)) + 0.5     # all positive
    rows[4] = -np.abs(rng.standard_normal(ROW)) * 3      # all negative
    rows[5] = rng.standard_normal(ROW)                   # special blocks of 32
    rows[5, 0:32] = 0.0
    rows[5, 32:64] = 0.75                                # constant
    rows[5, 64:96] = -0.75
    rows[5, 96:128] = 0.0
    rows[5, 100] = -3.5                                  # one value alone
    rows[5, 128:160] = np.where(np.arange(32) % 2, 1, -1)  # the maximum's sign is a tie
    rows[5, 160:192] *= 1e-6                             # small beside the others
    rows[5, 192:224] = np.arange(32) - 16                # integers: rounding ties
    rows[6] = rng.standard_normal(ROW) * np.exp2(        # 2^-12 .. 2^12, F16 scales
        np.repeat(rng.integers(-12, 13, 8), 32))
    rows[7] = 0.0                                        # a whole super-block of zeros
    return rows.ravel()


def half_inputs(rng, mantissa_bits):
    """2,048 values: every kind of rounding a 16-bit float can meet, without NaN."""
    normal = rng.standard_normal(512)
    wide = rng.standard_normal(512) * np.exp2(rng.integers(-40, 40, 512))
    base = rng.integers(0, 1 << mantissa_bits, 511) / (1 << mantissa_bits) + 1.0
    ulp = 2.0 ** -mantissa_bits
    ties = base + 0.5 * ulp                              # exactly half way
    near = base + 0.5 * ulp * (1 + np.where(rng.integers(0, 2, 511), 1, -1) * 2.0 ** -10)
    special = [0.0, -0.0]
    values = np.concatenate([normal, wide, ties, near, special]).astype(np.float32)
    edge = np.array([65504, 65519.996, 65520, 65536, -65520, 2**-14, 2**-24, 2**-25,
                     2**-25 * 1.0001, 3 * 2**-25, 2**-14 - 2**-25, -2**-26, 3.4e38,
                     1e-38, 1e-45, np.inf, -np.inf], np.float32)
    values[200:200 + len(edge)] = edge
    return values


def c_array(data, ctype):
    return data.ctypes.data_as(ctypes.POINTER(ctype))


def encode(lib, name, type_id, values, n_bytes):
    out = np.zeros(n_bytes, np.uint8)
    src, dst = c_array(values, ctypes.c_float), ctypes.c_void_p(out.ctypes.data)
    if name in ("f16", "bf16"):
        row = lib.ggml_fp32_to_fp16_row if name == "f16" else lib.ggml_fp32_to_bf16_row_ref
        row(src, dst, ctypes.c_int64(values.size))
        return out
    lib.ggml_quantize_chunk.restype = ctypes.c_size_t
    n = lib.ggml_quantize_chunk(
        ctypes.c_int(type_id), src, dst, ctypes.c_int64(0),
        ctypes.c_int64(values.size // ROW), ctypes.c_int64(ROW), None)
    assert n == n_bytes, (name, n, n_bytes)
    return out


def decode(lib, name, blocks, n_values):
    out = np.empty(n_values, np.float32)
    row = {"f16": "ggml_fp16_to_fp32_row", "bf16": "ggml_bf16_to_fp32_row",
           "q4_k": "dequantize_row_q4_K", "q5_k": "dequantize_row_q5_K",
           "q6_k": "dequantize_row_q6_K",
           "q2_k": "dequantize_row_q2_K", "q3_k": "dequantize_row_q3_K"}.get(name, f"dequantize_row_{name}")
    getattr(lib, row)(ctypes.c_void_p(blocks.ctypes.data), c_array(out, ctypes.c_float),
                      ctypes.c_int64(n_values))
    return out


def check_against_gguf(name, type_id, values, blocks, decoded):
    qtype = gguf.GGMLQuantizationType(type_id)
    notes = []
    ours = gguf.quants.dequantize(blocks, qtype).astype(np.float32)
    assert np.array_equal(ours.view(np.uint32), decoded.view(np.uint32)), f"{name}: decode"
    notes.append("decode agrees with gguf")
    try:
        with np.errstate(all="ignore"):
            theirs = gguf.quants.quantize(values.reshape(-1, ROW), qtype).view(np.uint8).ravel()
        differ = int(np.count_nonzero(theirs != blocks))
        notes.append(f"encode differs from gguf's in {differ} bytes of {blocks.size}")
    except NotImplementedError:
        notes.append("gguf has no encoder")
    return ", ".join(notes)


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    here = pathlib.Path(__file__).resolve().parent.parent
    ap.add_argument("--libggml", required=True, help="libggml-base.so of llama.cpp")
    ap.add_argument("--out", type=pathlib.Path, default=here / "tests/data/oracles/quant")
    a = ap.parse_args()
    lib = ctypes.CDLL(a.libggml)
    a.out.mkdir(parents=True, exist_ok=True)
    for i, (name, type_id, block_values, block_bytes) in enumerate(TYPES):
        rng = np.random.default_rng(1000 + i)
        values = (half_inputs(rng, 10 if name == "f16" else 7)
                  if block_values == 1 else block_inputs(rng))
        blocks = encode(lib, name, type_id, values, values.size // block_values * block_bytes)
        decoded = decode(lib, name, blocks, values.size)
        note = check_against_gguf(name, type_id, values, blocks, decoded)
        values.tofile(a.out / f"{name}.input.f32")
        blocks.tofile(a.out / f"{name}.blocks")
        decoded.tofile(a.out / f"{name}.decoded.f32")
        finite = np.isfinite(values) & np.isfinite(decoded)
        error = np.abs(values[finite] - decoded[finite]).max()
        print(f"{name}: {values.size} values, {blocks.size} bytes, largest error {error:.4g}; {note}")
    for i, (name, type_id, block_bytes) in enumerate(READ_ONLY):
        rng = np.random.default_rng(2000 + i)
        blocks = rng.integers(0, 256, (8, block_bytes), np.uint8)
        blocks[:, :2] = rng.standard_normal(8).astype(np.float16).reshape(8, 1).view(np.uint8)
        blocks = blocks.ravel()
        decoded = decode(lib, name, blocks, 2048)
        theirs = gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType(type_id))
        assert np.array_equal(theirs.view(np.uint32), decoded.view(np.uint32)), f"{name}: decode"
        blocks.tofile(a.out / f"{name}.blocks")
        decoded.tofile(a.out / f"{name}.decoded.f32")
        print(f"{name}: {decoded.size} values, {blocks.size} random bytes; decode agrees with gguf")


if __name__ == "__main__":
    main()
