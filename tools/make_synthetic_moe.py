#!/usr/bin/env python3
"""Write a mixture-of-experts model with made-up Q4_0 weights, for benchmarks.

    make_synthetic_moe.py --out moe-q4_0.gguf [--layers 24] [--hidden 1024] [--experts 32] ...

The shape is that of qwen3moe. Weights are random nibbles with one scale, so that the
router spreads tokens over all experts; the text that comes out says nothing.
Needs gguf and NumPy.
"""
import argparse

import gguf
import numpy as np

Q4_0 = gguf.GGMLQuantizationType.Q4_0


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--out", required=True)
    for name, value in dict(layers=24, hidden=1024, experts=32, used=4, ffn=512, heads=16,
                            kv_heads=4, head_dim=64, vocab=32000).items():
        ap.add_argument("--" + name.replace("_", "-"), type=int, default=value)
    a = ap.parse_args()
    rng = np.random.default_rng(0)
    w = gguf.GGUFWriter(a.out, "qwen3moe")

    def matrix(name, *shape):
        blocks = np.empty((*shape[:-1], shape[-1] // 32, 18), np.uint8)
        # Nibbles minus 8 have a deviation of 4.6.
        scale = np.float16(1.0 / 4.6 / shape[-1] ** 0.5)
        blocks[..., :2] = np.frombuffer(scale.tobytes(), np.uint8)
        blocks[..., 2:] = rng.integers(0, 256, blocks[..., 2:].shape, np.uint8)
        w.add_tensor(name, blocks.reshape(*shape[:-1], -1), raw_dtype=Q4_0)

    def ones(name, size):
        w.add_tensor(name, np.ones(size, np.float32))

    w.add_name("synthetic mixture of experts")
    w.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    w.add_block_count(a.layers)
    w.add_context_length(4096)
    w.add_embedding_length(a.hidden)
    w.add_feed_forward_length(a.ffn)
    w.add_expert_feed_forward_length(a.ffn)
    w.add_expert_count(a.experts)
    w.add_expert_used_count(a.used)
    w.add_head_count(a.heads)
    w.add_head_count_kv(a.kv_heads)
    w.add_key_length(a.head_dim)
    w.add_value_length(a.head_dim)
    w.add_layer_norm_rms_eps(1e-6)
    w.add_rope_freq_base(1e6)
    w.add_vocab_size(a.vocab)
    w.add_tokenizer_model("llama")
    words = [f"\u2581w{i}" for i in range(a.vocab - 259)]
    w.add_token_list(["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + words)
    w.add_token_scores([0.0] * a.vocab)
    w.add_token_types([2, 3, 3] + [6] * 256 + [1] * len(words))
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    w.add_unk_token_id(0)
    matrix("token_embd.weight", a.vocab, a.hidden)
    for i in range(a.layers):
        b = f"blk.{i}."
        ones(b + "attn_norm.weight", a.hidden)
        matrix(b + "attn_q.weight", a.heads * a.head_dim, a.hidden)
        matrix(b + "attn_k.weight", a.kv_heads * a.head_dim, a.hidden)
        matrix(b + "attn_v.weight", a.kv_heads * a.head_dim, a.hidden)
        ones(b + "attn_q_norm.weight", a.head_dim)
        ones(b + "attn_k_norm.weight", a.head_dim)
        matrix(b + "attn_output.weight", a.hidden, a.heads * a.head_dim)
        ones(b + "ffn_norm.weight", a.hidden)
        w.add_tensor(b + "ffn_gate_inp.weight",
                     rng.standard_normal((a.experts, a.hidden), np.float32) / a.hidden ** 0.5)
        matrix(b + "ffn_gate_exps.weight", a.experts, a.ffn, a.hidden)
        matrix(b + "ffn_up_exps.weight", a.experts, a.ffn, a.hidden)
        matrix(b + "ffn_down_exps.weight", a.experts, a.hidden, a.ffn)
    ones("output_norm.weight", a.hidden)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


if __name__ == "__main__":
    main()
