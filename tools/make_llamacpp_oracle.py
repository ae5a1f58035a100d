#!/usr/bin/env python3
"""Write the greedy-token oracles of tests/data/oracles/llamacpp.

    make_llamacpp_oracle.py --server llama-server --libggml libggml-base.so \\
        --models DIR --synthetic make_synthetic_gguf.py

Drives llama.cpp's llama-server, one request a token, always with the whole list of
ids as the prompt: the next token is the most likely one of the raw distribution
(no sampler, an end-of-text token is kept and generation goes on), and the gap is
the difference of its logit to the second. F32 KV cache, no flash attention, one
thread. --check-transformers compares llama.cpp with the Hugging Face oracles
beside them instead and writes nothing.
Needs NumPy and gguf.
"""
import argparse
import ctypes
import json
import math
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import gguf
import numpy as np

STEPS = 64
SERVER_ARGS = ["-c", "256", "-np", "1", "-t", "1", "-ctk", "f32", "-ctv", "f32",
               "-fa", "off", "--no-warmup", "--host", "127.0.0.1"]

# Prompts fit with 64 more tokens in each model's context (128, 256, 256 tokens).
STORY_PROMPTS = [
    "", "Once upon a time, there was a little girl",
    "Tom had a big red ball. He liked to kick the ball in the park with his dog. One day, "
    "the ball went over the fence and",
]
CHARACTER_PROMPTS = [
    "", "Once upon a time",
    "Tom had a big red ball. He liked to kick the ball in the park with his dog. One day, "
    "the ball went over the fence and",
]
TALE_PROMPTS = [
    "", "There was once a king who had three sons",
    "The old miller had a daughter so clever that she could answer any question, and the "
    "news of it came to the king, who sent for her and said: \"If you can come to me neither "
    "riding nor walking, neither dressed nor naked, neither by day nor by night, I will make "
    "you my queen.\" The girl went home, sat down by the fire, and thought the matter over "
    "until the cock crowed. Then she",
]
BYTE_PROMPTS = ["", "abcabc", "The quick brown fox jumps over the lazy dog; " * 3]

MINI_SHAPES = ["tiny", "mini-llama", "mini-qwen2", "mini-qwen3"]
# What every matrix of fireside-f16.gguf becomes; "token_embd.weight" where it differs.
QUANTIZED = {
    "fireside-q4_0": {"*": "Q4_0"}, "fireside-q5_0": {"*": "Q5_0"},
    "fireside-q8_0": {"*": "Q8_0"}, "fireside-q6_k": {"*": "Q6_K"},
    "fireside-q4_k": {"*": "Q4_K", "token_embd.weight": "Q6_K"},
    "fireside-bf16": {"*": "BF16"},
}


class Server:
    """One llama-server on a model file, as a context manager."""

    def __init__(self, program, model, port):
        self.url = f"http://127.0.0.1:{port}"
        self.letter = None
        self.log = tempfile.TemporaryFile()
        self.child = subprocess.Popen([program, "-m", str(model), "--port", str(port)] + SERVER_ARGS,
                                      stdout=self.log, stderr=subprocess.STDOUT)

    def __enter__(self):
        for _ in range(600):
            if self.child.poll() is not None:
                break
            try:
                with urllib.request.urlopen(self.url + "/health", timeout=2):
                    return self
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        self.__exit__()
        self.log.seek(0)
        sys.exit("llama-server did not start:\n" + self.log.read().decode(errors="replace")[-2000:])

    def __exit__(self, *_):
        self.child.terminate()
        self.child.wait()

    def get(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as reply:
            return json.load(reply)

    def tokenize(self, text):
        return self.get("/tokenize", {"content": text, "add_special": True})["tokens"]

    def distribution(self, ids, count, reuse=True):
        """(id, log-probability) of the `count` most likely next tokens, best first.

        The probabilities are those before sampling. What is sampled is biased to a plain
        letter, because the server reports none after half a UTF-8 character.
        """
        if self.letter is None:
            self.letter = self.get("/tokenize", {"content": "a", "add_special": False})["tokens"][-1]
        reply = self.get("/completion", {
            "prompt": ids, "n_predict": 1, "temperature": 0.0, "n_probs": count,
            "cache_prompt": reuse, "post_sampling_probs": False,
            "logit_bias": [[self.letter, 1e6]]})
        top = reply["completion_probabilities"][0]["top_logprobs"]
        return [(t["id"], t["logprob"]) for t in top]


def greedy(server, prompt_ids):
    ids, gaps, seconds = list(prompt_ids), [], []
    for _ in range(STEPS):
        (best, p1), (second, p2) = server.distribution(ids, 2)
        ids.append(best)
        gaps.append(round(p1 - p2, 5))
        seconds.append(second)
    return {"prompt_ids": prompt_ids, "ids": ids[len(prompt_ids):], "gap": gaps,
            "second_ids": seconds}


def quantize(lib, source, target, types):
    """Rewrites an F16 file with every matrix in ggml's reference encoding of another type."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    for field in reader.fields.values():
        if not field.name.startswith("GGUF.") and field.name != "general.architecture":
            sub = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=sub)
    for t in reader.tensors:
        if len(t.shape) == 1:
            writer.add_tensor(t.name, t.data)
            continue
        qtype = gguf.GGMLQuantizationType[types.get(t.name, types["*"])]
        values = np.ascontiguousarray(t.data, np.float32)
        if qtype == gguf.GGMLQuantizationType.BF16:
            data = gguf.quants.quantize(values, qtype).view(np.uint8)
        else:
            block, size = gguf.GGML_QUANT_SIZES[qtype]
            rows, width = values.shape
            data = np.zeros((rows, width // block * size), np.uint8)
            lib.ggml_quantize_chunk.restype = ctypes.c_size_t
            written = lib.ggml_quantize_chunk(
                ctypes.c_int(int(qtype)), ctypes.c_void_p(values.ctypes.data),
                ctypes.c_void_p(data.ctypes.data), ctypes.c_int64(0), ctypes.c_int64(rows),
                ctypes.c_int64(width), None)
            assert written == data.size, (t.name, written, data.size)
        writer.add_tensor(t.name, data, raw_dtype=qtype)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def models_to_run(a, scratch, lib):
    """name, file, prompts (text, or ids), what else the record says of the model."""
    m = a.models
    yield "stories260k", m / "stories260k.gguf", STORY_PROMPTS, {}
    yield "babyllama", m / "babyllama.gguf", CHARACTER_PROMPTS, {}
    yield "fireside-f16", m / "fireside-f16.gguf", TALE_PROMPTS, {}
    for shape in MINI_SHAPES:
        file = scratch / f"{shape}-f32.gguf"
        command = ["--shape", shape, "--type", "f32", "--seed", "0"]
        subprocess.run([sys.executable, a.synthetic, *command, "--out", file], check=True,
                       stderr=subprocess.DEVNULL)
        ids = [[1] + [3 + b for b in p.encode()] for p in BYTE_PROMPTS]
        yield f"{shape}-f32", file, ids, {
            "made_by": "make_synthetic_gguf.py " + " ".join(command)}
    for name, types in QUANTIZED.items():
        file = scratch / f"{name}.gguf"
        quantize(lib, m / "fireside-f16.gguf", file, types)
        yield name, file, TALE_PROMPTS, {"made_from": "fireside-f16.gguf", "types": types}


def dump(path, records):
    """One key a line, so that a diff shows which sequence changed."""
    def one(record):
        lines = [f"  {json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in record.items()]
        return " {\n" + ",\n".join(lines) + "\n }"
    path.write_text("[\n" + ",\n".join(one(r) for r in records) + "\n]\n")


def write_oracles(a):
    a.out.mkdir(parents=True, exist_ok=True)
    lib = ctypes.CDLL(a.libggml)
    with tempfile.TemporaryDirectory() as scratch:
        for name, file, prompts, notes in models_to_run(a, pathlib.Path(scratch), lib):
            if a.only and a.only != name:
                continue
            with Server(a.server, file, a.port) as server:
                records = []
                for prompt in prompts:
                    head = {"model": name, **notes, "engine": a.engine, "kv": "f32"}
                    if isinstance(prompt, str):
                        head["prompt"] = prompt
                        prompt = server.tokenize(prompt) or [1]
                    records.append({**head, **greedy(server, prompt)})
            dump(a.out / f"{name}.json", records)
            gaps = [g for r in records for g in r["gap"]]
            print(f"{name}: prompts of {[len(r['prompt_ids']) for r in records]} tokens, smallest gap "
                  f"{min(gaps)}, gaps below 0.05: {sum(g < 0.05 for g in gaps)} of {len(gaps)}",
                  flush=True)


def check_transformers(a):
    """llama.cpp's log-probabilities of the whole vocabulary against the stored logits."""
    worst = 0.0
    for path in sorted((a.out.parent / "transformers").glob("*.json")):
        o = json.loads(path.read_text())
        logits = np.fromfile(path.with_suffix(".logits.f32"), "<f4").astype(np.float64)
        logits = logits.reshape(o["positions"], o["vocab"])
        largest = 0.0
        with Server(a.server, path.with_suffix(".gguf"), a.port) as server:
            for i in range(o["positions"]):
                ids = o["prompt_ids"][:o["first_position"] + i + 1]
                expected = logits[i] - math.log(np.exp(logits[i] - logits[i].max()).sum()) - logits[i].max()
                got = server.distribution(ids, o["vocab"], reuse=False)
                assert len(got) == o["vocab"], len(got)
                largest = max(largest, max(abs(expected[t] - p) for t, p in got))
            ids, same = list(o["prompt_ids"]), 0
            for token in o["greedy_ids"]:
                same += server.distribution(ids, 2)[0][0] == token
                ids.append(token)
        worst = max(worst, largest)
        print(f"{o['name']}: largest difference of a log-probability {largest:.2g}, "
              f"greedy {same} of {len(o['greedy_ids'])}", flush=True)
    return worst


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = pathlib.Path(__file__).resolve().parent.parent
    ap.add_argument("--server", required=True, help="llama.cpp's llama-server")
    ap.add_argument("--engine", default="llama.cpp", help="name and version for the record")
    ap.add_argument("--libggml", help="libggml-base.so for the quantized files")
    ap.add_argument("--models", type=pathlib.Path, help="folder of the trained models")
    ap.add_argument("--synthetic", help="make_synthetic_gguf.py")
    ap.add_argument("--out", type=pathlib.Path, default=here / "tests/data/oracles/llamacpp")
    ap.add_argument("--only", help="one model's name")
    ap.add_argument("--port", type=int, default=18199)
    ap.add_argument("--check-transformers", action="store_true")
    a = ap.parse_args()
    if a.check_transformers:
        sys.exit(0 if check_transformers(a) < 1e-3 else 1)
    if not (a.libggml and a.models and a.synthetic):
        ap.error("--libggml, --models and --synthetic are needed")
    write_oracles(a)


if __name__ == "__main__":
    main()
