#!/usr/bin/env python3
"""Write the folders of tests/data/oracles/packed4, and quant/int4_*.

    make_packed4_oracle.py [--out DIR] [--only NAME]

Tiny random models as GPTQModel writes GPTQ and AWQ checkpoints, made of known integers:
GPTQModel's own code packs them (TorchLinear.pack, convert_gptq_v2_to_v1_format_module,
AwqTorchLinear.pack) and must give them back. Beside each lie the logits that transformers
computes in float32 from scale * (level - zero), and a CRC-32C of each matrix as floats.
Needs torch, transformers, safetensors, NumPy and gptqmodel (7.7; its wheel without its
dependencies and accelerate, pypcre, logbar, tokenicer, device-smi, defuser, datasets are
enough).
"""
import argparse
import json
import os
import pathlib
import shutil
import tempfile

import numpy as np
import safetensors.torch
import torch
import transformers

from make_huggingface_oracle import COMMON, DEFAULT_ROPE, KEPT_POSITIONS, PROMPT, VOCAB, build

# transformers class, what differs from COMMON, what the quantizer did
CASES = {
    "gptq-sym": ("LlamaForCausalLM", dict(), dict(group=32, sym=True)),
    "gptq-act-order": ("LlamaForCausalLM", dict(num_hidden_layers=1),
                       dict(group=32, act_order=True, lm_head=True)),
    "gptq-v2-act-order": ("Qwen2ForCausalLM",
                          dict(hidden_size=128, intermediate_size=192, num_hidden_layers=1,
                               tie_word_embeddings=True),
                          dict(group=64, act_order=True, v2=True)),
    "gptq-column": ("Qwen2ForCausalLM", dict(), dict(group=-1)),
    "gptq-grouped-order": ("LlamaForCausalLM", dict(num_hidden_layers=1),
                           dict(group=32, moved_groups=True, zero_bias=True, bf16=True)),
    "awq": ("LlamaForCausalLM", dict(), dict(awq=True, group=32)),
    "awq-128": ("Qwen2ForCausalLM",
                dict(hidden_size=128, intermediate_size=256, num_hidden_layers=1,
                     tie_word_embeddings=True),
                dict(awq=True, group=128)),
    "awq-experts": ("Qwen3MoeForCausalLM",
                    dict(head_dim=16, num_experts=4, num_experts_per_tok=2,
                         moe_intermediate_size=32, norm_topk_prob=True, decoder_sparse_step=1,
                         mlp_only_layers=[], num_hidden_layers=1),
                    dict(awq=True, group=32)),
}


def crc32c(data, table=[]):
    """Castagnoli's, eight bytes at a time would be faster; bytes will do."""
    if not table:
        for n in range(256):
            for _ in range(8):
                n = (n >> 1) ^ (0x82F63B78 if n & 1 else 0)
            table.append(n)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 255] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


class Matrix:
    """Random integers that GPTQ or AWQ might have chosen for a matrix of this size."""

    def __init__(self, weight, how, rng):
        self.out, self.inputs = weight.shape
        group = self.inputs if how["group"] < 0 else how["group"]
        groups = self.inputs // group
        self.group_size = group
        self.g_idx = np.arange(self.inputs) // group
        if how.get("act_order"):
            self.g_idx = rng.permutation(self.g_idx)
        if how.get("moved_groups"):
            self.g_idx = rng.permutation(groups)[self.g_idx]
        self.q = rng.integers(0, 16, (self.out, self.inputs))
        self.zero = np.full((self.out, groups), 8) if how.get("sym") else rng.integers(
            0, 16, (self.out, groups))
        # The weights get about the size they had: levels spread over some 4.6 from their zero.
        size = float(weight.float().std()) / 6
        scale = torch.from_numpy(rng.uniform(0.5, 1.5, (self.out, groups)) * size)
        self.scale = scale.to(torch.bfloat16 if how.get("bf16") else torch.float16)

    def floats(self):
        scale = self.scale.double().numpy()[:, self.g_idx]
        exact = scale * (self.q - self.zero[:, self.g_idx])
        values = exact.astype(np.float32)
        assert (values == exact).all()
        return values


def pack(matrix, bias, how):
    """GPTQModel's tensors of a matrix."""
    from gptqmodel.nn_modules.qlinear.torch import TorchLinear
    from gptqmodel.nn_modules.qlinear.torch_awq import AwqTorchLinear
    from gptqmodel.utils.model import convert_gptq_v2_to_v1_format_module
    linear = torch.nn.Linear(matrix.inputs, matrix.out, bias=bias is not None)
    floats = torch.from_numpy(matrix.floats())
    linear.weight.data = floats
    if bias is not None:
        linear.bias.data = bias.float()
    kind = AwqTorchLinear if how.get("awq") else TorchLinear
    module = kind(bits=4, group_size=matrix.group_size, sym=False, desc_act=False,
                  in_features=matrix.inputs, out_features=matrix.out, bias=bias is not None,
                  pack_dtype=torch.int32, register_buffers=True)
    zero = torch.from_numpy(matrix.zero)
    scale = matrix.scale if how.get("awq") else matrix.scale.float()
    if how.get("awq"):
        module.pack(linear, scale.float(), zero)
        module.scales = scale.T.contiguous()
        back = module._dequantize_weight_for_inference(floats, dtype=torch.float16)
    else:
        module.pack(linear, scale, zero, torch.from_numpy(matrix.g_idx.astype(np.int32)))
        back = module.dequantize_weight()
        if not how.get("v2"):
            convert_gptq_v2_to_v1_format_module(module, type("Config", (), dict(
                bits=4, pack_dtype=torch.int32)))
    assert torch.allclose(back.T.float(), floats, rtol=2e-3, atol=0), "packed wrongly"
    state = {"qweight": module.qweight, "qzeros": module.qzeros,
             "scales": matrix.scale.T.contiguous()}
    if not how.get("awq"):
        state["g_idx"] = module.g_idx.to(torch.int32)
    if bias is not None:
        state["bias"] = bias
    elif how.get("zero_bias"):
        state["bias"] = torch.zeros(matrix.out, dtype=torch.float16)
    return {name: t.clone().contiguous() for name, t in state.items()}


def config_json(how):
    if how.get("awq"):
        return {"bits": 4, "group_size": how["group"], "modules_to_not_convert": None,
                "quant_method": "awq", "version": "gemm", "zero_point": True}
    return {"bits": 4, "checkpoint_format": "gptq_v2" if how.get("v2") else "gptq",
            "desc_act": bool(how.get("act_order")), "group_size": how["group"],
            "lm_head": bool(how.get("lm_head")), "pack_dtype": "int32", "quant_method": "gptq",
            "sym": bool(how.get("sym"))}


def as_gguf(name, values, config):
    """Llama's Q and K, whose rotary pairs GGUF puts side by side."""
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    heads = heads.get(name.split(".")[-2]) if config.model_type == "llama" else None
    if heads is None:
        return values
    rows, cols = values.shape
    return values.reshape(heads, 2, rows // heads // 2, cols).swapaxes(1, 2).reshape(rows, cols)


def write(case, folder, seed):
    kind, options, how = CASES[case]
    rng = np.random.default_rng(1000 + seed)
    options = {**COMMON, "hidden_size": 64, "intermediate_size": 64,
               "rope_parameters": DEFAULT_ROPE, **options}
    config = getattr(transformers, kind).config_class(**options)
    model = build(kind, config, seed)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    state = safetensors.torch.load_file(folder / "model.safetensors")
    packed, plain, checksums = {}, {}, {}
    for name, t in state.items():
        is_quantized = name.endswith("_proj.weight") or (how.get("lm_head") and "lm_head" in name)
        stem = name.removesuffix(".weight")
        if not is_quantized:
            plain[name] = t.float()
            if stem.removesuffix(".bias") + ".weight" not in state or not stem.endswith(
                    "_proj.bias"):
                packed[name] = t
            continue
        matrix = Matrix(t, how, rng)
        plain[name] = torch.from_numpy(matrix.floats())
        for part, value in pack(matrix, state.get(stem + ".bias"), how).items():
            packed[f"{stem}.{part}"] = value
        values = np.ascontiguousarray(as_gguf(name, matrix.floats(), config))
        checksums[name] = crc32c(values.astype("<f4").tobytes())
    with tempfile.TemporaryDirectory() as temporary:
        model.config.save_pretrained(temporary)
        safetensors.torch.save_file(plain, temporary + "/model.safetensors", {"format": "pt"})
        model = getattr(transformers, kind).from_pretrained(
            temporary, dtype=torch.float32, attn_implementation="eager").eval()
    with torch.no_grad():
        logits = model(torch.tensor([PROMPT])).logits[0].numpy()
    safetensors.torch.save_file(packed, folder / "model.safetensors", {"format": "pt"})
    saved = json.loads((folder / "config.json").read_text())
    saved["quantization_config"] = config_json(how)
    (folder / "config.json").write_text(json.dumps(saved, indent=2) + "\n")
    logits[-KEPT_POSITIONS:].astype("<f4").tofile(folder / "logits.f32")
    (folder / "oracle.json").write_text(json.dumps(
        {"class": kind, "transformers": transformers.__version__, "torch": torch.__version__,
         "prompt_ids": PROMPT, "vocab": VOCAB, "positions": KEPT_POSITIONS,
         "matrix_crc32c": checksums}))
    (folder / "generation_config.json").unlink(missing_ok=True)
    size = sum(p.stat().st_size for p in folder.iterdir())
    print(f"{case}: {size} bytes, logits {logits.min():.2f}..{logits.max():.2f}")


def write_blocks(folder, group, seed):
    """2048 elements of an INT4 type, any bytes under sane scales."""
    rng = np.random.default_rng(seed)
    count = 2048 // group
    scale = rng.uniform(-0.1, 0.1, count).astype("<f2")
    scale[1] = np.float16(6e-8)  # subnormal
    zero = rng.integers(0, 16, count).astype(np.uint8)
    zero[2] = 255
    q = rng.integers(0, 16, (count, group // 32, 32)).astype(np.uint8)
    nibbles = q[:, :, :16] | q[:, :, 16:] << 4
    blocks = np.concatenate([scale.view(np.uint8).reshape(count, 2), zero[:, None],
                             nibbles.reshape(count, group // 2)], axis=1)
    values = (q.reshape(count, group).astype(np.float32) - zero[:, None]) * scale.astype(
        np.float32)[:, None]
    blocks.tofile(folder / f"int4_{group}.blocks")
    values.astype("<f4").tofile(folder / f"int4_{group}.decoded.f32")


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    here = pathlib.Path(__file__).resolve().parent.parent
    ap.add_argument("--out", type=pathlib.Path, default=here / "tests/data/oracles")
    ap.add_argument("--only", choices=CASES)
    a = ap.parse_args()
    torch.set_num_threads(1)
    os.environ["GPTQMODEL_DISABLE_PACK_EXT"] = "1"  # or it compiles one
    for seed, case in enumerate(CASES):
        if a.only in (None, case):
            write(case, a.out / "packed4" / case, seed)
    for group in (32, 64, 128):
        write_blocks(a.out / "quant", group, group)


if __name__ == "__main__":
    main()
