#!/usr/bin/env python3
"""Write the logits oracles of tests/data/oracles/transformers.

    make_transformers_oracle.py [--out DIR] [--only NAME]

Small random models of every supported architecture are built with Hugging Face
transformers, run in float32 on a fixed prompt, and written as F32 GGUF files as
llama.cpp's converter would write them. The weights are scaled so that attention
is sharp and the logits differ from position to position: an engine that drops a
bias, a norm or a rope factor is off by whole units, not by rounding.
Needs torch, transformers, gguf and NumPy.
"""
import argparse
import json
import pathlib

import gguf
import numpy as np
import torch
import transformers

VOCAB = 259          # 3 specials and 256 bytes
KEPT_POSITIONS = 8   # logits stored for the last positions of the prompt
GREEDY_STEPS = 16
CONTEXT = 128
TEXT = ("The ferryman counted his coins twice, looked at the grey river, and said "
        "nothing at all until the far bank.")

# transformers class, GGUF architecture, prompt length, config beside the common part
CASES = {
    "llama-tied": ("Llama", "llama", 40, dict(
        hidden_size=32, intermediate_size=64, num_attention_heads=4, num_key_value_heads=4,
        tie_word_embeddings=True)),
    "llama-gqa-untied": ("Llama", "llama", 40, dict(
        hidden_size=48, intermediate_size=56, num_attention_heads=6, num_key_value_heads=2,
        rms_norm_eps=1e-6)),
    "llama-rope-llama3": ("Llama", "llama", 96, dict(
        hidden_size=32, intermediate_size=64, num_attention_heads=2, num_key_value_heads=1,
        tie_word_embeddings=True,
        rope_parameters=dict(rope_type="llama3", rope_theta=10000.0, factor=8.0,
                             low_freq_factor=1.0, high_freq_factor=4.0,
                             original_max_position_embeddings=32))),
    "llama-rope-linear": ("Llama", "llama", 40, dict(
        hidden_size=32, intermediate_size=64, num_attention_heads=4, num_key_value_heads=2,
        tie_word_embeddings=True,
        rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=2.0))),
    "mistral-head-dim": ("Mistral", "llama", 40, dict(
        hidden_size=40, intermediate_size=72, num_attention_heads=4, num_key_value_heads=1,
        head_dim=16, sliding_window=None, tie_word_embeddings=True)),
    "qwen2-tied": ("Qwen2", "qwen2", 40, dict(
        hidden_size=48, intermediate_size=80, num_attention_heads=4, num_key_value_heads=2,
        tie_word_embeddings=True, rope_parameters=dict(rope_type="default", rope_theta=1e6))),
    "qwen2-untied": ("Qwen2", "qwen2", 40, dict(
        hidden_size=32, intermediate_size=64, num_attention_heads=2, num_key_value_heads=2,
        rope_parameters=dict(rope_type="default", rope_theta=1e6))),
    "qwen3-tied": ("Qwen3", "qwen3", 40, dict(
        hidden_size=40, intermediate_size=72, num_attention_heads=4, num_key_value_heads=2,
        head_dim=16, tie_word_embeddings=True,
        rope_parameters=dict(rope_type="default", rope_theta=1e6))),
    "qwen3-untied": ("Qwen3", "qwen3", 40, dict(
        hidden_size=32, intermediate_size=64, num_attention_heads=4, num_key_value_heads=4,
        head_dim=24, rope_parameters=dict(rope_type="default", rope_theta=1e6))),
}


def build(case, seed):
    kind, _, _, options = CASES[case]
    common = dict(vocab_size=VOCAB, num_hidden_layers=2, max_position_embeddings=CONTEXT,
                  rms_norm_eps=1e-5, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2,
                  attention_dropout=0.0)
    config = getattr(transformers, kind + "Config")(**{**common, **options})
    config._attn_implementation = "eager"
    model = getattr(transformers, kind + "ForCausalLM")(config).eval()
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.from_numpy(rng.standard_normal(tuple(p.shape)).astype(np.float32))
            if name.endswith("bias"):
                p.copy_(noise * 0.5)
            elif "norm" in name:
                p.copy_(1.0 + noise * 0.3)
            else:
                gain = 2.0 if "q_proj" in name or "k_proj" in name else 1.0
                gain = 3.0 if "lm_head" in name or "embed" in name else gain
                p.copy_(noise * gain * p.shape[-1] ** -0.5)
    return model, config


def head_dim_of(config):
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def interleave_halves(weight, heads):
    """Rows of a rotate-half projection in the order of llama's pairwise rope."""
    rows = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return np.ascontiguousarray(rows.swapaxes(1, 2).reshape(weight.shape))


def llama3_factors(config):
    """What GGUF stores in rope_freqs.weight: the divisor of each pair's frequency."""
    rope, dim = config.rope_parameters, head_dim_of(config)
    context = rope["original_max_position_embeddings"]
    factors = []
    for i in range(0, dim, 2):
        wavelength = 2 * np.pi * rope["rope_theta"] ** (i / dim)
        low, high = rope["low_freq_factor"], rope["high_freq_factor"]
        smooth = (context / wavelength - low) / (high - low)
        smooth = min(max(smooth, 0.0), 1.0)
        factors.append(1.0 / (smooth + (1.0 - smooth) / rope["factor"]))
    return np.array(factors, np.float32)


LAYER_NAMES = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def tensors_of(model, config, arch):
    for name, p in model.named_parameters():
        data = p.detach().numpy()
        stem, kind = name.rsplit(".", 1)
        if stem == "model.embed_tokens":
            yield "token_embd.weight", data
        elif stem == "model.norm":
            yield "output_norm.weight", data
        elif stem == "lm_head":
            yield "output.weight", data
        else:
            _, _, layer, part = stem.split(".", 3)
            if arch == "llama" and part in ("self_attn.q_proj", "self_attn.k_proj"):
                data = interleave_halves(data, config.num_attention_heads if "q_proj" in part
                                         else config.num_key_value_heads)
            yield f"blk.{layer}.{LAYER_NAMES[part]}.{kind}", data
    if config.rope_parameters["rope_type"] == "llama3":
        yield "rope_freqs.weight", llama3_factors(config)


def write_gguf(path, case, model, config, arch):
    w = gguf.GGUFWriter(path, arch)
    w.add_name(f"random {case}")
    w.add_file_type(gguf.LlamaFileType.ALL_F32)
    w.add_block_count(config.num_hidden_layers)
    w.add_context_length(CONTEXT)
    w.add_embedding_length(config.hidden_size)
    w.add_feed_forward_length(config.intermediate_size)
    w.add_head_count(config.num_attention_heads)
    w.add_head_count_kv(config.num_key_value_heads)
    w.add_layer_norm_rms_eps(config.rms_norm_eps)
    w.add_vocab_size(VOCAB)
    rope = config.rope_parameters
    w.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] == "linear":
        w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        w.add_rope_scaling_factor(rope["factor"])
    head_dim = head_dim_of(config)
    if head_dim != config.hidden_size // config.num_attention_heads:
        w.add_key_length(head_dim)
        w.add_value_length(head_dim)
    if arch == "llama":
        w.add_rope_dimension_count(head_dim)
    w.add_tokenizer_model("llama")
    w.add_token_list(["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)])
    w.add_token_scores([0.0] * VOCAB)
    w.add_token_types([2, 3, 3] + [6] * 256)
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    w.add_unk_token_id(0)
    for name, data in tensors_of(model, config, arch):
        w.add_tensor(name, np.ascontiguousarray(data, np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def run(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].float().numpy()


def greedy(model, ids):
    """Tokens, and how far the best logit lay above the second at each step."""
    out, gaps = list(ids), []
    for _ in range(GREEDY_STEPS):
        second, best = np.sort(run(model, out)[-1])[-2:]
        gaps.append(round(float(best - second), 5))
        out.append(int(run(model, out)[-1].argmax()))
    return out[len(ids):], gaps


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    here = pathlib.Path(__file__).resolve().parent.parent
    ap.add_argument("--out", type=pathlib.Path, default=here / "tests/data/oracles/transformers")
    ap.add_argument("--only", choices=CASES)
    a = ap.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for seed, case in enumerate(CASES):
        if a.only not in (None, case):
            continue
        _, arch, length, _ = CASES[case]
        ids = ([1] + [3 + b for b in TEXT.encode()])[:length]
        assert len(ids) == length
        model, config = build(case, seed)
        logits = run(model, ids)
        tokens, gaps = greedy(model, ids)
        write_gguf(a.out / f"{case}.gguf", case, model, config, arch)
        logits[-KEPT_POSITIONS:].astype("<f4").tofile(a.out / f"{case}.logits.f32")
        rounding = float(np.abs(run(model.double(), ids) - logits).max())
        record = {
            "name": case, "architecture": arch, "class": type(model).__name__,
            "transformers": transformers.__version__, "torch": torch.__version__,
            "prompt_ids": ids, "first_position": length - KEPT_POSITIONS,
            "positions": KEPT_POSITIONS, "vocab": VOCAB,
            "difference_to_f64": float(f"{rounding:.3g}"),
            "greedy_ids": tokens, "greedy_gap": gaps,
        }
        with open(a.out / f"{case}.json", "w") as f:
            f.write(json.dumps(record, indent=1).replace("\n  ", " ").replace("\n ]", " ]") + "\n")
        print(f"{case}: {(a.out / f'{case}.gguf').stat().st_size} bytes, logits "
              f"{logits.min():.2f}..{logits.max():.2f}, std {logits.std():.2f}, "
              f"f32 against f64 {rounding:.2g}, smallest greedy gap {min(gaps)}")


if __name__ == "__main__":
    main()
