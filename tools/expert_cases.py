"""Mixtures of experts and latent attention among the models of make_architecture_oracles.py."""

import numpy as np

from architecture_cases import (ATTENTION, ENDS, FINAL_NORM, GATED, INTERLEAVED, LAYER, LLAMA,
                                PRE_NORMS, add, config_of, metadata_of, yarn, yarn_metadata)


class Parts:
    """A parameter that GGUF stores as several tensors, or in another order.

    shapes(shape) gives GGUF's (name, shape) pairs, join(*values) the parameter.
    """

    def __init__(self, names, shapes, join):
        self.names, self.shapes, self.join = names, shapes, join


def gate_up(names):
    """[experts][gate above up][hidden]"""
    return Parts(names, lambda s: [(s[0], s[1] // 2, s[2])] * 2,
                 lambda gate, up: np.concatenate([gate, up], 1))


def one_by_one(count, shapes_of_one, names, join):
    return Parts([n.format(e) for n in names for e in range(count)],
                 lambda s: [shapes_of_one(s)] * (len(names) * count), join)


def in_turn(gate, up):
    """gpt-oss: gate and up by turns along the outputs."""
    return np.stack([gate, up], -1).reshape(*gate.shape[:-1], -1)


def turned(x):
    return np.ascontiguousarray(x.swapaxes(-1, -2))


EXPERT = LAYER + r"mlp\.experts\."
STACKED = [
    (EXPERT + r"gate_up_proj", gate_up([r"blk.\1.ffn_gate_exps.weight",
                                        r"blk.\1.ffn_up_exps.weight"])),
    (EXPERT + r"down_proj", r"blk.\1.ffn_down_exps.weight"),
    (LAYER + r"mlp\.(?:gate|router)\.(weight|bias)", r"blk.\1.ffn_gate_inp.\2")]
GAINS = {"attn_q": 2.0, "attn_k": 2.0, "embd": 3.0, "output.weight": 3.0, "ffn_gate_inp": 2.0}
PLAIN_ROPE = dict(rope_type="default", rope_theta=10000.0)
MOE = ENDS + FINAL_NORM + PRE_NORMS + STACKED

# --- Mixtral, Qwen ------------------------------------------------------------------------

o = config_of(48, 40, 4, 2, rms_norm_eps=1e-5, tie_word_embeddings=False, sliding_window=None,
              num_local_experts=5, num_experts_per_tok=2, rope_parameters=PLAIN_ROPE)
MIXTRAL = {"expert_count": 5, "expert_used_count": 2, "rope.dimension_count": 12}
add("mixtral", "llama", "Mixtral", o, MOE + INTERLEAVED, metadata_of(o, more=MIXTRAL), gains=GAINS)
APART = [
    (EXPERT + r"gate_up_proj", one_by_one(
        5, lambda s: (s[1] // 2, s[2]), [r"blk.\1.ffn_gate.{}.weight", r"blk.\1.ffn_up.{}.weight"],
        lambda *m: np.concatenate([np.stack(m[:5]), np.stack(m[5:])], 1))),
    (EXPERT + r"down_proj", one_by_one(5, lambda s: s[1:], [r"blk.\1.ffn_down.{}.weight"],
                                       lambda *m: np.stack(m)))]
add("mixtral-apart", "llama", "Mixtral", o, APART + MOE + INTERLEAVED,
    metadata_of(o, more=MIXTRAL), gains=GAINS, no_llamacpp="reads only experts in one tensor")

o = config_of(48, 72, 4, 2, rms_norm_eps=1e-5, tie_word_embeddings=False, num_experts=7,
              num_experts_per_tok=3, moe_intermediate_size=24, shared_expert_intermediate_size=40,
              norm_topk_prob=False, rope_parameters=PLAIN_ROPE)
SHARED = LAYER + r"mlp\.shared_experts?\.(gate|up|down)_proj\.weight"
add("qwen2moe", "qwen2moe", "Qwen2Moe", o, MOE + ATTENTION + [
    (SHARED, r"blk.\1.ffn_\2_shexp.weight"),
    (LAYER + r"mlp\.shared_expert_gate\.weight",
     Parts([r"blk.\1.ffn_gate_inp_shexp.weight"], lambda s: [s[1:]], lambda m: m[None]))],
    metadata_of(o, more={"expert_count": 7, "expert_used_count": 3,
                         "expert_feed_forward_length": 24,
                         "expert_shared_feed_forward_length": 40}), gains=GAINS)

o = config_of(48, 72, 4, 2, head_dim=20, rms_norm_eps=1e-5, tie_word_embeddings=False,
              num_experts=11, num_experts_per_tok=4, moe_intermediate_size=24, norm_topk_prob=True,
              rope_parameters=PLAIN_ROPE)
add("qwen3moe", "qwen3moe", "Qwen3Moe", o, MOE + ATTENTION + [
    (LAYER + r"self_attn\.([qk])_norm\.weight", r"blk.\1.attn_\2_norm.weight")],
    metadata_of(o, more={"expert_count": 11, "expert_used_count": 4,
                         "expert_feed_forward_length": 24}), gains=GAINS)

# --- DeepSeek ------------------------------------------------------------------------------

HEADS, KEY, ROPE, VALUE, RANK = 4, 20, 8, 12, 32
LATENT = [
    (LAYER + r"self_attn\.q_proj\.weight", r"blk.\1.attn_q.weight"),
    (LAYER + r"self_attn\.q_([ab])_proj\.weight", r"blk.\1.attn_q_\2.weight"),
    (LAYER + r"self_attn\.q_a_layernorm\.weight", r"blk.\1.attn_q_a_norm.weight"),
    (LAYER + r"self_attn\.kv_a_proj_with_mqa\.weight", r"blk.\1.attn_kv_a_mqa.weight"),
    (LAYER + r"self_attn\.kv_a_layernorm\.weight", r"blk.\1.attn_kv_a_norm.weight"),
    (LAYER + r"self_attn\.o_proj\.weight", r"blk.\1.attn_output.weight"),
    (LAYER + r"mlp\.gate\.e_score_correction_bias", r"blk.\1.exp_probs_b.bias"),
    (SHARED, r"blk.\1.ffn_\2_shexp.weight")]
SPLIT = [(LAYER + r"self_attn\.kv_b_proj\.weight",
          Parts([r"blk.\1.attn_k_b.weight", r"blk.\1.attn_v_b.weight"],
                lambda s: [(HEADS, RANK, KEY), (HEADS, VALUE, RANK)],
                lambda k, v: np.concatenate([turned(k), v], 1).reshape(-1, RANK)))]
ONE = [(LAYER + r"self_attn\.kv_b_proj\.weight", r"blk.\1.attn_kv_b.weight")]


def deepseek(name, cls, q_rank, names, metadata, scaling=None, old=False, **more):
    o = config_of(48, 72, HEADS, HEADS, layers=3, rms_norm_eps=1e-5, tie_word_embeddings=False,
                  n_routed_experts=8, moe_intermediate_size=24, n_shared_experts=2,
                  first_k_dense_replace=1, q_lora_rank=q_rank, kv_lora_rank=RANK,
                  qk_nope_head_dim=KEY, qk_rope_head_dim=ROPE, v_head_dim=VALUE,
                  rope_parameters=scaling or PLAIN_ROPE, **more.pop("options"))
    sizes = {"attention.key_length": KEY + ROPE, "attention.value_length": VALUE} if old else {
        "attention.head_count_kv": 1, "attention.key_length": RANK + ROPE,
        "attention.value_length": RANK, "attention.key_length_mla": KEY + ROPE,
        "attention.value_length_mla": VALUE}
    m = {**sizes, "attention.kv_lora_rank": RANK, "attention.q_lora_rank": q_rank or 0,
         "rope.dimension_count": ROPE, "leading_dense_block_count": 1, "expert_count": 8,
         "expert_used_count": o["num_experts_per_tok"], "expert_feed_forward_length": 24,
         "expert_shared_count": 2, "vocab_size": 259, **metadata}
    add(name, "deepseek2", cls, o, MOE + GATED + LATENT + names, metadata_of(o, more=m),
        gains={**GAINS, "attn_q_a": 1.0, "attn_k_b": 1.0, "attn_kv": 1.0}, **more)


V2 = dict(num_experts_per_tok=3, topk_method="greedy", n_group=1, topk_group=1,
          routed_scaling_factor=1.0)
deepseek("deepseek2-lite", "DeepseekV2", None, SPLIT,
         {**yarn_metadata(10000.0, 4.0, 32, yarn_log_multiplier=0.0707),
          "expert_weights_scale": 1.0},
         scaling=yarn(10000.0, 4.0, 32, mscale=0.707, mscale_all_dim=0.707, beta_fast=32.0,
                      beta_slow=1.0), options=V2, length=96)
deepseek("deepseek2-lite-old", "DeepseekV2", None, ONE, {"expert_weights_scale": 1.0}, old=True,
         options=V2)
deepseek("deepseek2", "DeepseekV2", 24, SPLIT,
         {"expert_group_count": 4, "expert_group_used_count": 2, "expert_weights_scale": 1.5},
         options=dict(num_experts_per_tok=3, topk_method="group_limited_greedy", n_group=4,
                      topk_group=2, routed_scaling_factor=1.5),
         no_llamacpp="ranks groups by two experts, as DeepSeek-V3 does")
deepseek("deepseek3", "DeepseekV3", 24, SPLIT,
         {**yarn_metadata(10000.0, 4.0, 32, yarn_log_multiplier=0.1),
          "expert_group_count": 4, "expert_group_used_count": 2, "expert_weights_scale": 2.5,
          "expert_weights_norm": True, "expert_gating_func": 2},
         scaling=yarn(10000.0, 4.0, 32, mscale=1.0, mscale_all_dim=1.0, beta_fast=32.0,
                      beta_slow=1.0),
         options=dict(num_experts_per_tok=3, n_group=4, topk_group=2, routed_scaling_factor=2.5,
                      norm_topk_prob=True), length=96)

# --- gpt-oss ---------------------------------------------------------------------------------

GPT_OSS = ENDS + FINAL_NORM + ATTENTION + [
    (LAYER + r"input_layernorm\.weight", r"blk.\1.attn_norm.weight"),
    (LAYER + r"post_attention_layernorm\.weight", r"blk.\1.post_attention_norm.weight"),
    (LAYER + r"self_attn\.sinks", r"blk.\1.attn_sinks.weight"),
    (EXPERT + r"gate_up_proj", Parts(
        [r"blk.\1.ffn_gate_exps.weight", r"blk.\1.ffn_up_exps.weight"],
        lambda s: [(s[0], s[2] // 2, s[1])] * 2,
        lambda gate, up: in_turn(turned(gate), turned(up)))),
    (EXPERT + r"gate_up_proj_bias", Parts(
        [r"blk.\1.ffn_gate_exps.bias", r"blk.\1.ffn_up_exps.bias"],
        lambda s: [(s[0], s[1] // 2)] * 2, lambda gate, up: in_turn(gate, up))),
    (EXPERT + r"down_proj", Parts([r"blk.\1.ffn_down_exps.weight"],
                                  lambda s: [(s[0], s[2], s[1])], turned)),
    (EXPERT + r"down_proj_bias", r"blk.\1.ffn_down_exps.bias"), STACKED[2]]


def gpt_oss(name, rope, metadata, **more):
    o = config_of(48, 40, 4, 2, head_dim=16, rms_norm_eps=1e-5, tie_word_embeddings=False,
                  num_local_experts=6, num_experts_per_tok=3, sliding_window=16,
                  rope_parameters=rope)
    m = {"expert_count": 6, "expert_used_count": 3, "expert_feed_forward_length": 40,
         "attention.sliding_window": 16, "rope.dimension_count": 16, **metadata}
    add(name, "gpt-oss", "GptOss", o, GPT_OSS, metadata_of(o, more=m), gains={**GAINS, "sinks": 1.0},
        **more)


gpt_oss("gpt-oss", PLAIN_ROPE, {})
gpt_oss("gpt-oss-yarn", yarn(150000.0, 4.0, 32, beta_fast=32.0, beta_slow=1.0, truncate=False),
        yarn_metadata(150000.0, 4.0, 32, yarn_beta_fast=32.0, yarn_beta_slow=1.0), length=96,
        no_llamacpp="rounds the ends of YaRN's ramp to whole dimensions")
