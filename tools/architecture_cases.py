"""The models of make_architecture_oracles.py: what each class is called, what its
configuration becomes in GGUF, and where its parameters go. Widths are odd on purpose.

A name maps to GGUF's, or to (kind, name): "transposed" (a Conv1D's weight), "plus one"
(norms that multiply by 1 + w), "interleaved" (rows in the order of the pairwise rope).
"""

VOCAB = 259  # 3 specials and 256 bytes
CONTEXT = 128
COMMON = dict(vocab_size=VOCAB, bos_token_id=1, eos_token_id=2, pad_token_id=0)
LAYER = r"model\.layers\.(\d+)\."


def both(pattern, target):
    """A module with a weight and a bias."""
    return (pattern + r"\.(weight|bias)", target)


def config_of(hidden, ffn, heads, kv_heads, layers=2, context=CONTEXT, **more):
    return {**COMMON, "hidden_size": hidden, "intermediate_size": ffn, "num_hidden_layers": layers,
            "num_attention_heads": heads, "num_key_value_heads": kv_heads,
            "max_position_embeddings": context, **more}


def metadata_of(options, eps="attention.layer_norm_rms_epsilon", **more):
    m = {"block_count": options["num_hidden_layers"],
         "context_length": options["max_position_embeddings"],
         "embedding_length": options["hidden_size"],
         "feed_forward_length": options["intermediate_size"],
         "attention.head_count": options["num_attention_heads"],
         "attention.head_count_kv": options["num_key_value_heads"],
         eps: 1e-5, "rope.freq_base": 10000.0}
    if "head_dim" in options:
        m["attention.key_length"] = m["attention.value_length"] = options["head_dim"]
    m.update({k.replace("__", "."): v for k, v in more.items() if not isinstance(v, dict)})
    for v in more.values():
        if isinstance(v, dict):
            m.update(v)
    return m


ENDS = [(r"model\.embed_tokens\.weight", "token_embd.weight"), (r"lm_head\.weight", "output.weight")]
FINAL_NORM = [(r"model\.norm\.(weight|bias)", r"output_norm.\1")]
GATED = [(LAYER + r"mlp\.(gate|up|down)_proj\.weight", r"blk.\1.ffn_\2.weight")]
PRE_NORMS = [(LAYER + r"input_layernorm\.(weight|bias)", r"blk.\1.attn_norm.\2"),
             (LAYER + r"post_attention_layernorm\.(weight|bias)", r"blk.\1.ffn_norm.\2")]
ATTENTION = [(LAYER + r"self_attn\.([qkv])_proj\.(weight|bias)", r"blk.\1.attn_\2.\3"),
             (LAYER + r"self_attn\.o_proj\.(weight|bias)", r"blk.\1.attn_output.\2")]
INTERLEAVED = [(LAYER + r"self_attn\.([qk])_proj\.weight",
                ("interleaved", r"blk.\1.attn_\2.weight"))] + ATTENTION
LLAMA = ENDS + FINAL_NORM + PRE_NORMS + GATED

CASES = {}


def add(name, arch, cls, options, names, metadata, **more):
    CASES[name] = {"arch": arch, "cls": cls, "model": more.pop("model", cls + "ForCausalLM"),
                   "options": options, "names": names, "metadata": metadata, **more}


# --- RoPE scaling ---------------------------------------------------------------------

def yarn(theta, factor, original, **more):
    return dict(rope_type="yarn", rope_theta=theta, factor=factor,
                original_max_position_embeddings=original, **more)


def yarn_metadata(theta, factor, original, **more):
    return {"rope.freq_base": theta, "rope.scaling.type": "yarn", "rope.scaling.factor": factor,
            "rope.scaling.original_context_length": original,
            **{f"rope.scaling.{k}": v for k, v in more.items()}}


o = config_of(48, 56, 4, 2, tie_word_embeddings=True, rms_norm_eps=1e-5,
              rope_parameters=yarn(10000.0, 4.0, 32))
add("qwen2-yarn", "qwen2", "Qwen2", o, LLAMA + ATTENTION,
    metadata_of(o, more=yarn_metadata(10000.0, 4.0, 32)), length=96)
o = config_of(48, 56, 2, 1, head_dim=40, rms_norm_eps=1e-5,
              rope_parameters=yarn(10000.0, 8.0, 16, attention_factor=0.8, beta_fast=16.0,
                                   beta_slow=2.0))
add("llama-yarn-attention-factor", "llama", "Llama", o, LLAMA + INTERLEAVED,
    metadata_of(o, more=yarn_metadata(10000.0, 8.0, 16, yarn_attn_factor=0.8, yarn_beta_fast=16.0,
                                      yarn_beta_slow=2.0)), length=96,
    no_llamacpp="ignores yarn_attn_factor and the betas in llama files")

# --- Phi-3 ------------------------------------------------------------------------------

PHI3 = ENDS + FINAL_NORM + PRE_NORMS + [
    (LAYER + r"self_attn\.qkv_proj\.weight", r"blk.\1.attn_qkv.weight"),
    (LAYER + r"self_attn\.o_proj\.weight", r"blk.\1.attn_output.weight"),
    (LAYER + r"mlp\.gate_up_proj\.weight", r"blk.\1.ffn_up.weight"),
    (LAYER + r"mlp\.down_proj\.weight", r"blk.\1.ffn_down.weight")]


def phi3(name, factors=None, context=CONTEXT, original=CONTEXT, partial=1.0, window=0, **more):
    o = config_of(48, 56, 2, 1, context=context, rms_norm_eps=1e-5, sliding_window=window or None,
                  tie_word_embeddings=False, original_max_position_embeddings=original)
    rope = dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=partial)
    dims = int(24 * partial)
    m = {"rope.dimension_count": dims, "rope.scaling.original_context_length": original,
         "attention.sliding_window": window}
    extra = {}
    if factors:
        long_factor = [round(1.0 + 0.7 * i, 3) for i in range(dims // 2)]
        short_factor = [round(1.0 + 0.05 * i, 3) for i in range(dims // 2)]
        rope.update(rope_type="longrope", long_factor=long_factor, short_factor=short_factor)
        scale = context / original
        import math
        m["rope.scaling.attn_factor"] = math.sqrt(1 + math.log(scale) / math.log(original))
        extra = {"rope_factors_long.weight": long_factor, "rope_factors_short.weight": short_factor}
    o["rope_parameters"] = {**rope, "original_max_position_embeddings": original}
    add(name, "phi3", "Phi3", o, PHI3, metadata_of(o, more=m), extra=extra, **more)


phi3("phi3")
phi3("phi3-long", factors=True, context=256, original=32, partial=0.75)
phi3("phi3-short", factors=True, context=1024, original=256)

# --- OLMo 2, Granite ------------------------------------------------------------------------

o = config_of(48, 56, 4, 2, rms_norm_eps=1e-5, tie_word_embeddings=False,
              rope_parameters=dict(rope_type="default", rope_theta=10000.0))
OLMO2 = ENDS + FINAL_NORM + GATED + ATTENTION + [
    (LAYER + r"self_attn\.([qk])_norm\.weight", r"blk.\1.attn_\2_norm.weight"),
    (LAYER + r"post_attention_layernorm\.weight", r"blk.\1.post_attention_norm.weight"),
    (LAYER + r"post_feedforward_layernorm\.weight", r"blk.\1.post_ffw_norm.weight")]
add("olmo2", "olmo2", "Olmo2", o, OLMO2, metadata_of(o))

o = config_of(48, 56, 4, 2, rms_norm_eps=1e-5, tie_word_embeddings=True, attention_multiplier=0.4,
              embedding_multiplier=6.0, residual_multiplier=0.3, logits_scaling=4.0,
              rope_parameters=dict(rope_type="default", rope_theta=10000.0))
add("granite", "granite", "Granite", o, LLAMA + INTERLEAVED,
    metadata_of(o, more={"attention.scale": 0.4, "embedding_scale": 6.0, "residual_scale": 0.3,
                         "logit_scale": 4.0}),
    gains={"attn_q": 2.0, "attn_k": 2.0, "embd": 8.0})

# --- layer norms: GPT-2, StarCoder2, Phi-2 ------------------------------------------------------

LN = "attention.layer_norm_epsilon"
BLOCK = r"transformer\.h\.(\d+)\."
GPT2 = [(r"transformer\.wte\.weight", "token_embd.weight"),
        (r"transformer\.wpe\.weight", "position_embd.weight"),
        (r"transformer\.ln_f\.(weight|bias)", r"output_norm.\1"),
        (BLOCK + r"ln_1\.(weight|bias)", r"blk.\1.attn_norm.\2"),
        (BLOCK + r"ln_2\.(weight|bias)", r"blk.\1.ffn_norm.\2")]
for theirs, ours in [("attn.c_attn", "attn_qkv"), ("attn.c_proj", "attn_output"),
                     ("mlp.c_fc", "ffn_up"), ("mlp.c_proj", "ffn_down")]:
    part = BLOCK + theirs.replace(".", r"\.")
    GPT2 += [(part + r"\.weight", ("transposed", rf"blk.\1.{ours}.weight")),
             (part + r"\.bias", rf"blk.\1.{ours}.bias")]
o = {**COMMON, "n_embd": 40, "n_layer": 2, "n_head": 2, "n_positions": 1024, "n_ctx": 1024,
     "layer_norm_epsilon": 1e-5, "activation_function": "gelu_new"}
add("gpt2", "gpt2", "GPT2", o, GPT2,
    {"block_count": 2, "context_length": 1024, "embedding_length": 40, "feed_forward_length": 160,
     "attention.head_count": 2, LN: 1e-5}, model="GPT2LMHeadModel",
    gains={"attn_qkv": 1.5, "token_embd": 3.0, "position_embd": 2.0})

o = config_of(48, 72, 4, 2, norm_epsilon=1e-5, use_bias=True, tie_word_embeddings=True,
              sliding_window=None, rope_parameters=dict(rope_type="default", rope_theta=10000.0))
MLP = [(LAYER + r"mlp\.c_fc\.(weight|bias)", r"blk.\1.ffn_up.\2"),
       (LAYER + r"mlp\.c_proj\.(weight|bias)", r"blk.\1.ffn_down.\2")]
add("starcoder2", "starcoder2", "Starcoder2", o, ENDS + FINAL_NORM + PRE_NORMS + ATTENTION + MLP,
    metadata_of(o, eps=LN))

o = config_of(40, 160, 2, 2, layer_norm_eps=1e-5, tie_word_embeddings=False,
              rope_parameters=dict(rope_type="default", rope_theta=10000.0,
                                   partial_rotary_factor=0.4))
PHI2 = [(r"model\.embed_tokens\.weight", "token_embd.weight"),
        (r"lm_head\.(weight|bias)", r"output.\1"),
        (r"model\.final_layernorm\.(weight|bias)", r"output_norm.\1"),
        (LAYER + r"input_layernorm\.(weight|bias)", r"blk.\1.attn_norm.\2"),
        (LAYER + r"self_attn\.([qkv])_proj\.(weight|bias)", r"blk.\1.attn_\2.\3"),
        (LAYER + r"self_attn\.dense\.(weight|bias)", r"blk.\1.attn_output.\2"),
        (LAYER + r"mlp\.fc1\.(weight|bias)", r"blk.\1.ffn_up.\2"),
        (LAYER + r"mlp\.fc2\.(weight|bias)", r"blk.\1.ffn_down.\2")]
add("phi2", "phi2", "Phi", o, PHI2, metadata_of(o, eps=LN, more={"rope.dimension_count": 8}))

# --- Gemma -----------------------------------------------------------------------------------

PLUS_ONE = [(LAYER + r"self_attn\.([qk])_norm\.weight", ("plus one", r"blk.\1.attn_\2_norm.weight")),
            (r"model\.norm\.weight", ("plus one", "output_norm.weight"))]
SANDWICH = PLUS_ONE + [
    (LAYER + theirs + r"\.weight", ("plus one", rf"blk.\1.{ours}.weight"))
    for theirs, ours in [("input_layernorm", "attn_norm"),
                         ("post_attention_layernorm", "post_attention_norm"),
                         ("pre_feedforward_layernorm", "ffn_norm"),
                         ("post_feedforward_layernorm", "post_ffw_norm")]]
GEMMA_GAINS = {"attn_q.": 2.0, "attn_k.": 2.0, "embd": 1.0}

o = config_of(40, 56, 4, 1, head_dim=16, rms_norm_eps=1e-5, tie_word_embeddings=True,
              hidden_activation="gelu_pytorch_tanh",
              rope_parameters=dict(rope_type="default", rope_theta=10000.0))
add("gemma", "gemma", "Gemma", o, ENDS + PLUS_ONE + GATED + ATTENTION + [
    (LAYER + r"input_layernorm\.weight", ("plus one", r"blk.\1.attn_norm.weight")),
    (LAYER + r"post_attention_layernorm\.weight", ("plus one", r"blk.\1.ffn_norm.weight"))],
    metadata_of(o), gains=GEMMA_GAINS)

o = config_of(40, 56, 4, 2, layers=4, head_dim=16, rms_norm_eps=1e-5, tie_word_embeddings=True,
              query_pre_attn_scalar=16, sliding_window=12, attn_logit_softcapping=5.0,
              final_logit_softcapping=8.0, hidden_activation="gelu_pytorch_tanh",
              rope_parameters=dict(rope_type="default", rope_theta=10000.0))
add("gemma2", "gemma2", "Gemma2", o, ENDS + SANDWICH + GATED + ATTENTION,
    metadata_of(o, more={"attention.sliding_window": 12, "attn_logit_softcapping": 5.0,
                         "final_logit_softcapping": 8.0}), gains=GEMMA_GAINS, length=60)

o = config_of(40, 56, 4, 1, layers=6, context=1024, head_dim=24, rms_norm_eps=1e-5,
              tie_word_embeddings=True, query_pre_attn_scalar=24, sliding_window=12,
              sliding_window_pattern=6,
              hidden_activation="gelu_pytorch_tanh",
              rope_parameters={"full_attention": dict(rope_type="linear", factor=8.0,
                                                      rope_theta=1e6),
                               "sliding_attention": dict(rope_type="default", rope_theta=1e4)})
add("gemma3", "gemma3", "Gemma3Text", o, ENDS + SANDWICH + GATED + ATTENTION,
    metadata_of(o, more={"attention.sliding_window": 12, "rope.freq_base": 1e6,
                         "rope.scaling.type": "linear", "rope.scaling.factor": 8.0}),
    model="Gemma3ForCausalLM", gains=GEMMA_GAINS, length=60)

# --- windows ------------------------------------------------------------------------------------

o = config_of(40, 56, 4, 2, head_dim=16, rms_norm_eps=1e-5, sliding_window=10,
              tie_word_embeddings=True,
              rope_parameters=dict(rope_type="default", rope_theta=10000.0))
add("mistral-window", "llama", "Mistral", o, LLAMA + INTERLEAVED,
    metadata_of(o, more={"attention.sliding_window": 10}), length=60,
    no_llamacpp="ignores the window of llama files")
phi3("phi3-window", window=10, length=60, no_llamacpp="ignores the window of phi3 files")
o = config_of(48, 72, 4, 2, norm_epsilon=1e-5, use_bias=True, tie_word_embeddings=True,
              sliding_window=10, rope_parameters=dict(rope_type="default", rope_theta=10000.0))
add("starcoder2-window", "starcoder2", "Starcoder2", o,
    ENDS + FINAL_NORM + PRE_NORMS + ATTENTION + MLP,
    metadata_of(o, eps=LN, more={"attention.sliding_window": 10}), length=60,
    no_llamacpp="ignores the window of starcoder2 files")
o = config_of(48, 56, 4, 2, layers=4, rms_norm_eps=1e-5, tie_word_embeddings=False, sliding_window=10,
              rope_parameters={"full_attention": yarn(10000.0, 4.0, 32),
                               "sliding_attention": dict(rope_type="default", rope_theta=1e4)})
add("olmo3", "olmo2", "Olmo3", o, OLMO2,
    metadata_of(o, more={"attention.sliding_window": 10,
                         "attention.sliding_window_pattern": [True, True, True, False],
                         **yarn_metadata(10000.0, 4.0, 32)}), length=60)

# --- encoders -----------------------------------------------------------------------------------

EMBEDDINGS = [(r"embeddings\.word_embeddings\.weight", "token_embd.weight"),
              (r"embeddings\.position_embeddings\.weight", "position_embd.weight"),
              (r"embeddings\.token_type_embeddings\.weight", "token_types.weight"),
              (r"embeddings\.LayerNorm\.(weight|bias)", r"token_embd_norm.\1"),
              (r"pooler\..*", None)]
B = r"encoder\.layer\.(\d+)\."
BERT = EMBEDDINGS + [
    (B + r"attention\.self\.(q|k|v)\w+\.(weight|bias)", r"blk.\1.attn_\2.\3"),
    (B + r"attention\.output\.dense\.(weight|bias)", r"blk.\1.attn_output.\2"),
    (B + r"attention\.output\.LayerNorm\.(weight|bias)", r"blk.\1.attn_output_norm.\2"),
    (B + r"intermediate\.dense\.(weight|bias)", r"blk.\1.ffn_up.\2"),
    (B + r"output\.dense\.(weight|bias)", r"blk.\1.ffn_down.\2"),
    (B + r"output\.LayerNorm\.(weight|bias)", r"blk.\1.layer_output_norm.\2")]
BERT_GAINS = {"attn_q": 2.0, "attn_k": 2.0, "embd": 1.7, "token_types": 1.7}
o = dict(vocab_size=VOCAB, hidden_size=40, num_hidden_layers=3, num_attention_heads=2,
         intermediate_size=72, hidden_act="gelu", max_position_embeddings=512, type_vocab_size=2,
         layer_norm_eps=1e-12, pad_token_id=0)
add("bert", "bert", "Bert", o, BERT,
    {"block_count": 3, "context_length": 512, "embedding_length": 40, "feed_forward_length": 72,
     "attention.head_count": 2, LN: 1e-12, "attention.causal": False, "pooling_type": 1, "tokenizer.ggml.token_type_count": 2}, model="BertModel",
    encoder=True, gains=BERT_GAINS)

o = dict(vocab_size=VOCAB, hidden_size=40, num_hidden_layers=2, num_attention_heads=2,
         intermediate_size=72, max_position_embeddings=512, type_vocab_size=2,
         layer_norm_eps=1e-12, pad_token_id=0,
         rope_parameters=dict(rope_type="default", rope_theta=1000.0))
N = r"layers\.(\d+)\."
NOMIC = EMBEDDINGS + [
    (N + r"self_attn\.([qkv])_proj\.weight", r"blk.\1.attn_\2.weight"),
    (N + r"self_attn\.o_proj\.weight", r"blk.\1.attn_output.weight"),
    (N + r"mlp\.(gate|up|down)_proj\.weight", r"blk.\1.ffn_\2.weight"),
    (N + r"post_attention_layernorm\.(weight|bias)", r"blk.\1.attn_output_norm.\2"),
    (N + r"post_mlp_layernorm\.(weight|bias)", r"blk.\1.layer_output_norm.\2")]
add("nomic-bert", "nomic-bert", "NomicBert", o, NOMIC,
    {"block_count": 2, "context_length": 512, "embedding_length": 40, "feed_forward_length": 72,
     "attention.head_count": 2, LN: 1e-12, "attention.causal": False, "pooling_type": 1,
     "rope.freq_base": 1000.0, "tokenizer.ggml.token_type_count": 2}, model="NomicBertModel",
    encoder=True, gains=BERT_GAINS)
