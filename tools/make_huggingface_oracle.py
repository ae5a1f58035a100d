#!/usr/bin/env python3
"""Write the folders of tests/data/oracles/huggingface.

    make_huggingface_oracle.py [--out DIR] [--only NAME]

Tiny random models as Hugging Face transformers saves them (config.json, safetensors in
16 bits, one of them in shards), and the logits that transformers computes from those
weights in float32 for a fixed prompt. Needs torch, transformers, safetensors and NumPy.
"""
import argparse
import json
import pathlib
import shutil

import numpy as np
import safetensors.torch
import torch
import transformers

VOCAB = 64
PROMPT = [1, 9, 33, 4, 60, 17, 17, 52, 8, 41, 3, 29, 11, 63, 5, 22, 47, 30, 2, 12]
KEPT_POSITIONS = 3

COMMON = dict(vocab_size=VOCAB, num_hidden_layers=2, hidden_size=32, intermediate_size=32,
              num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
              bos_token_id=1, eos_token_id=2, pad_token_id=0, tie_word_embeddings=False)
DEFAULT_ROPE = dict(rope_type="default", rope_theta=10000.0)

# transformers class, what differs from COMMON
CASES = {
    "llama": ("LlamaForCausalLM", dict(rope_parameters=dict(
        rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0,
        high_freq_factor=4.0, original_max_position_embeddings=16))),
    "llama-sharded": ("LlamaForCausalLM", dict(attention_bias=True, tie_word_embeddings=True)),
    "mistral": ("MistralForCausalLM", dict(sliding_window=6, head_dim=16)),
    "mixtral": ("MixtralForCausalLM", dict(num_local_experts=4, num_experts_per_tok=2, intermediate_size=16,
                                           sliding_window=None)),
    "qwen2": ("Qwen2ForCausalLM", dict(tie_word_embeddings=True)),
    "qwen3": ("Qwen3ForCausalLM", dict(head_dim=16)),
    "qwen3-moe": ("Qwen3MoeForCausalLM", dict(
        head_dim=16, num_experts=5, num_experts_per_tok=2, moe_intermediate_size=16,
        norm_topk_prob=True, decoder_sparse_step=1, mlp_only_layers=[])),
    "granite": ("GraniteForCausalLM", dict(
        attention_multiplier=0.3, embedding_multiplier=2.0, residual_multiplier=0.4,
        logits_scaling=3.0)),
    "olmo2": ("Olmo2ForCausalLM", dict()),
    "phi3": ("Phi3ForCausalLM", dict(
        original_max_position_embeddings=16, sliding_window=None,
        rope_parameters=dict(rope_type="longrope", rope_theta=10000.0,
                             short_factor=[1.0, 1.1, 1.2, 1.3],
                             long_factor=[1.0, 1.5, 2.5, 4.0],
                             original_max_position_embeddings=16))),
    "gemma": ("GemmaForCausalLM", dict(head_dim=16, tie_word_embeddings=True)),
    "gemma2": ("Gemma2ForCausalLM", dict(
        head_dim=16, query_pre_attn_scalar=16, sliding_window=6, tie_word_embeddings=True,
        attn_logit_softcapping=5.0, final_logit_softcapping=3.0)),
    "gemma3": ("Gemma3ForCausalLM", dict(
        head_dim=16, query_pre_attn_scalar=16, sliding_window=6, tie_word_embeddings=True,
        num_hidden_layers=7, intermediate_size=32, hidden_size=16,
        rope_parameters=dict(
            sliding_attention=dict(rope_type="default", rope_theta=10000.0),
            full_attention=dict(rope_type="linear", rope_theta=1e6, factor=8.0)))),
    "gpt-oss": ("GptOssForCausalLM", dict(
        head_dim=16, num_local_experts=4, num_experts_per_tok=2, sliding_window=6,
        intermediate_size=16, hidden_size=32,
        rope_parameters=dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, beta_fast=32.0,
                             beta_slow=1.0, original_max_position_embeddings=16,
                             truncate=False))),
    "gpt-oss-mxfp4": ("GptOssForCausalLM", dict(
        num_hidden_layers=1, head_dim=8, num_local_experts=4, num_experts_per_tok=2,
        sliding_window=6, intermediate_size=32)),
    "deepseek-v2": ("DeepseekV2ForCausalLM", dict(
        num_key_value_heads=4, kv_lora_rank=16, q_lora_rank=None, qk_rope_head_dim=8,
        qk_nope_head_dim=12, v_head_dim=10, n_routed_experts=4, n_shared_experts=2,
        num_experts_per_tok=2, moe_intermediate_size=16, first_k_dense_replace=1,
        routed_scaling_factor=1.0, topk_method="greedy", n_group=1, topk_group=1,
        norm_topk_prob=False, head_dim=8)),
    "deepseek-v3": ("DeepseekV3ForCausalLM", dict(
        num_key_value_heads=4, kv_lora_rank=16, q_lora_rank=24, qk_rope_head_dim=8,
        qk_nope_head_dim=12, v_head_dim=10, n_routed_experts=8, n_shared_experts=1,
        num_experts_per_tok=3, moe_intermediate_size=16, first_k_dense_replace=1,
        routed_scaling_factor=2.5, n_group=4, topk_group=2, norm_topk_prob=True,
        rope_parameters=dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, beta_fast=32.0,
                             beta_slow=1.0, mscale=1.0, mscale_all_dim=1.0,
                             original_max_position_embeddings=16))),
    "gpt2": ("GPT2LMHeadModel", dict(tie_word_embeddings=True)),
    "starcoder2": ("Starcoder2ForCausalLM", dict(tie_word_embeddings=True, sliding_window=6)),
    "qwen2-moe": ("Qwen2MoeForCausalLM", dict(
        num_experts=5, num_experts_per_tok=2, moe_intermediate_size=16, norm_topk_prob=False,
        shared_expert_intermediate_size=24, decoder_sparse_step=1, mlp_only_layers=[])),
}


def config_of(kind, options):
    options = {**COMMON, "rope_parameters": DEFAULT_ROPE, **options}
    if kind == "GPT2LMHeadModel":
        options = dict(vocab_size=VOCAB, n_layer=2, n_embd=32, n_head=4, n_positions=64,
                       bos_token_id=1, eos_token_id=2, tie_word_embeddings=True)
    config = getattr(transformers, kind).config_class(**options)
    config._attn_implementation = "eager"
    return config


def build(kind, config, seed):
    model = getattr(transformers, kind)(config).eval()
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.from_numpy(rng.standard_normal(tuple(p.shape)).astype(np.float32))
            if p.dim() == 1:
                one = 1.0 if "norm" in name or "ln_" in name else 0.0
                one = 0.0 if "gemma" in kind.lower() else one
                one = 0.0 if name.endswith("bias") else one
                p.copy_(one + noise * 0.3)
            else:
                gain = 3.0 if any(s in name for s in ("embed", "lm_head", "wte")) else 1.5
                p.copy_(noise * gain * p.shape[-1] ** -0.5)
        # As rounded to 16 bits they are saved; the oracle computes with the same values.
        model.to(torch.bfloat16)
    return model


def save_mxfp4(model, folder, seed):
    """The experts as gpt-oss is published: blocks of 4 bits with scales, gate and up in turn."""
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors
    rng = np.random.default_rng(seed)
    state = {}
    with torch.no_grad():
        for name, p in model.named_parameters():
            if not name.endswith(("gate_up_proj", "down_proj")):
                state[name] = p.detach().clone()
                continue
            experts, cols, rows = p.shape  # as the model computes: inputs first
            blocks = torch.from_numpy(rng.integers(0, 256, (experts, rows, cols // 32, 16), np.uint8))
            scales = torch.from_numpy(rng.integers(122, 126, (experts, rows, cols // 32), np.uint8))
            p.copy_(convert_moe_packed_tensors(blocks.clone(), scales.clone(), dtype=p.dtype))
            state[name + "_blocks"], state[name + "_scales"] = blocks, scales
    safetensors.torch.save_file(state, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "mxfp4"}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    here = pathlib.Path(__file__).resolve().parent.parent
    ap.add_argument("--out", type=pathlib.Path, default=here / "tests/data/oracles/huggingface")
    ap.add_argument("--only", choices=CASES)
    a = ap.parse_args()
    torch.set_num_threads(1)
    for seed, (case, (kind, options)) in enumerate(CASES.items()):
        if a.only not in (None, case):
            continue
        folder = a.out / case
        shutil.rmtree(folder, ignore_errors=True)
        config = config_of(kind, options)
        model = build(kind, config, seed)
        model.save_pretrained(folder, max_shard_size="12KB" if case.endswith("sharded") else "1GB")
        # Loaded anew: to() would leave the rotary frequencies rounded to 16 bits.
        saved = model
        model = getattr(transformers, kind).from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager").eval()
        if case.endswith("mxfp4"):
            save_mxfp4(saved, folder, seed)
            model.load_state_dict(saved.state_dict())
        with torch.no_grad():
            logits = model(torch.tensor([PROMPT])).logits[0].numpy()
        logits[-KEPT_POSITIONS:].astype("<f4").tofile(folder / "logits.f32")
        with open(folder / "oracle.json", "w") as f:
            json.dump({"class": kind, "transformers": transformers.__version__,
                       "torch": torch.__version__, "prompt_ids": PROMPT, "vocab": VOCAB,
                       "positions": KEPT_POSITIONS}, f)
        size = sum(p.stat().st_size for p in folder.iterdir())
        print(f"{case}: {size} bytes, logits {logits.min():.2f}..{logits.max():.2f}")


if __name__ == "__main__":
    main()
