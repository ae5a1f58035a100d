#!/usr/bin/env python3
"""Compare ridgeline with llama.cpp's family on the same model files.

    compare.py -m model-q4_0.gguf -t 2 \\
        --rival llama.cpp=/path/to/llama-bench \\
        --rival 'ik -rtr=/path/to/ik/llama-bench -rtr 1'
    compare.py --load -m model-q4_0.gguf -t 2 \\
        --rival 'llama.cpp=/path/to/llama-completion -no-cnv --no-warmup'

Engines run one after the other, A B C A B C ..., because a machine's speed drifts by
more than engines differ: ratios are taken within a round, and their median counts.
A rival is NAME=COMMAND, the command being a prefix to which the common options are
appended; without --rival, llama-bench (llama-completion for --load) from PATH is
used. --ridgeline takes the same form, e.g. 'avx2=env RIDGELINE_ISA=avx2 ridgeline'.
Python 3.9+, nothing else.
"""
import argparse
import json
import os
import pathlib
import select
import shlex
import shutil
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROMPT = "The old ferryman counted his coins twice and looked at the river."


# --- what each engine prints -------------------------------------------------------------

def find_number(value, key):
    """The first number called `key` anywhere inside a JSON value."""
    if isinstance(value, dict):
        if isinstance(value.get(key), (int, float)):
            return float(value[key])
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            number = find_number(item, key)
            if number is not None:
                return number
    return None


def ridgeline_rates(stdout):
    report = json.loads(stdout)
    return {"prefill": find_number(report, "prefill_tokens_per_second"),
            "decode": find_number(report, "decode_tokens_per_second")}


def llama_bench_rates(stdout):
    # The JSON array comes last; some builds print notes before it.
    rows = json.loads(stdout[stdout.index("[\n"):])
    rates = {"prefill": None, "decode": None}
    for row in rows:
        rates["decode" if int(row["n_gen"]) else "prefill"] = float(row["avg_ts"])
    return rates


# --- engines -----------------------------------------------------------------------------

class Engine:
    def __init__(self, name, command, is_ours):
        self.name, self.command, self.is_ours = name, shlex.split(command), is_ours

    def bench_command(self, model, a):
        common = ["-m", model, "-p", str(a.prompt_tokens), "-n", str(a.gen_tokens),
                  "-t", str(a.threads), "-r", "1"]
        if self.is_ours:
            return self.command + ["bench", "model"] + common + ["--json"]
        return self.command + common + ["-o", "json"]

    def load_command(self, model, a):
        common = ["-m", model, "-p", PROMPT, "-n", "1", "-c", str(a.context),
                  "-t", str(a.threads), "--temp", "0", "--no-display-prompt"]
        return self.command + (["run"] if self.is_ours else []) + common


class Failed(Exception):
    pass


def measure_rates(engine, model, a):
    command = engine.bench_command(model, a)
    done = subprocess.run(command, capture_output=True, text=True, timeout=a.timeout)
    if done.returncode != 0:
        raise Failed(f"exit code {done.returncode}: {(done.stderr.strip() or '?').splitlines()[-1]}")
    try:
        rates = (ridgeline_rates if engine.is_ours else llama_bench_rates)(done.stdout)
    except (ValueError, KeyError) as error:
        raise Failed(f"output not understood ({error}): {done.stdout[:200]!r}") from error
    if a.prompt_tokens and rates["prefill"] is None or a.gen_tokens and rates["decode"] is None:
        raise Failed(f"no rate in its output: {done.stdout[:200]!r}")
    return {k: v for k, v in rates.items() if v is not None}


def measure_load(engine, model, a):
    """Seconds until the first byte of text and until the end, and the peak RSS."""
    if a.cold:
        with open(model, "rb") as f:
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    start = time.monotonic()
    child = subprocess.Popen(engine.load_command(model, a), stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    first = None
    while True:
        ready, _, _ = select.select([child.stdout], [], [], a.timeout)
        if not ready:
            child.kill()
        data = os.read(child.stdout.fileno(), 65536)
        if not data:
            break
        if first is None and data.strip():
            first = time.monotonic() - start
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    child.stdout.close()
    if child.returncode != 0:
        raise Failed(f"exit code {child.returncode}")
    return {"first token, s": first if first is not None else wall, "whole run, s": wall,
            "peak RSS, MB": usage.ru_maxrss * 1024 / 1e6}


# --- report ------------------------------------------------------------------------------

def busy_share(seconds=1.0):
    """Share of all CPUs that other processes keep busy just now."""
    def ticks():
        with open("/proc/stat") as f:
            t = [int(x) for x in f.readline().split()[1:9]]
        return sum(t), t[3] + t[4]
    total0, idle0 = ticks()
    time.sleep(seconds)
    total1, idle1 = ticks()
    return 1.0 - (idle1 - idle0) / max(1, total1 - total0)


def ratio_rows(samples, engines, metric):
    """Median over the rounds of ours / rival, and that of ours / fastest rival of the round."""
    smaller_is_better = metric not in ("prefill", "decode")
    rows = []
    for ours in (e for e in engines if e.is_ours):
        mine = samples[ours.name].get(metric)
        theirs = {e.name: samples[e.name][metric] for e in engines
                  if not e.is_ours and samples[e.name].get(metric)}
        if not mine or not theirs:
            continue
        ratios = {name: statistics.median(a / b for a, b in zip(mine, values))
                  for name, values in theirs.items()}
        best = (min if smaller_is_better else max)
        per_round = [best(v[i] for v in theirs.values()) for i in range(len(mine))]
        ratios["best of them"] = statistics.median(a / b for a, b in zip(mine, per_round))
        rows.append((ours.name, ratios))
    return rows


def print_report(model, samples, engines, a):
    print(f"\n### {pathlib.Path(model).name} ({os.path.getsize(model) / 1e6:.0f} MB), "
          f"{a.threads} threads, {a.rounds} rounds\n")
    metrics = list(dict.fromkeys(m for e in engines for m in samples[e.name]))
    if not metrics:
        return []
    titles = {"prefill": f"prefill {a.prompt_tokens}, tok/s", "decode": f"decode {a.gen_tokens}, tok/s"}
    print("| engine | " + " | ".join(titles.get(m, m) for m in metrics) + " |")
    print("|---|" + "---|" * len(metrics))
    for e in engines:
        cells = []
        for m in metrics:
            v = samples[e.name].get(m)
            cells.append(f"{statistics.median(v):.2f} ({min(v):.2f}–{max(v):.2f})" if v else "failed")
        print(f"| {e.name} | " + " | ".join(cells) + " |")
    ratios = []
    for m in metrics:
        for ours, row in ratio_rows(samples, engines, m):
            ratios.append({"metric": m, "engine": ours, "ratios": row})
            print(f"\n{ours} / rival, {titles.get(m, m)}: "
                  + ", ".join(f"{name} {r:.3f}" for name, r in row.items()))
    return ratios


def run_model(model, engines, a):
    measure = measure_load if a.load else measure_rates
    samples = {e.name: {} for e in engines}
    failures = {}
    for i in range(-a.warmup, a.rounds):
        for e in engines:
            if e.name in failures:
                continue
            try:
                result = measure(e, model, a)
            except (Failed, OSError, subprocess.TimeoutExpired) as error:
                failures[e.name] = str(error)
                samples[e.name] = {}
                print(f"{e.name}: {error}", file=sys.stderr)
                continue
            if i >= 0:
                for metric, value in result.items():
                    samples[e.name].setdefault(metric, []).append(value)
            print(f"round {i + 1 if i >= 0 else 'warm-up'} {e.name}: "
                  + ", ".join(f"{k} {v:.2f}" for k, v in result.items()), file=sys.stderr)
            time.sleep(a.pause)
    return samples, failures


def engines_of(a):
    def parse(text, is_ours):
        name, sep, command = text.partition("=")
        if not sep or not name or not command:
            sys.exit(f"compare.py: '{text}' is not NAME=COMMAND")
        return Engine(name, command, is_ours)

    ours = [parse(t, True) for t in a.ridgeline]
    if not ours and not a.no_ridgeline:
        binary = ROOT / "build/release/ridgeline"
        ours = [Engine("ridgeline", str(binary) if binary.exists() else "ridgeline", True)]
    rivals = [parse(t, False) for t in a.rival]
    if not rivals:
        command = "llama-completion -no-cnv --no-warmup" if a.load else "llama-bench"
        if shutil.which(command.split()[0]):
            rivals = [Engine(command.split()[0], command, False)]
    engines = ours + rivals
    for e in engines:
        if not shutil.which(e.command[0]):
            sys.exit(f"compare.py: {e.name}: no program '{e.command[0]}'")
    if len({e.name for e in engines}) != len(engines):
        sys.exit("compare.py: two engines have the same name")
    return engines


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("-m", "--model", action="append", required=True)
    ap.add_argument("--ridgeline", action="append", default=[], metavar="NAME=COMMAND")
    ap.add_argument("--no-ridgeline", action="store_true", help="measure the rivals alone")
    ap.add_argument("--rival", action="append", default=[], metavar="NAME=COMMAND")
    ap.add_argument("-p", "--prompt-tokens", type=int, default=512)
    ap.add_argument("-n", "--gen-tokens", type=int, default=64)
    ap.add_argument("-t", "--threads", type=int, default=len(os.sched_getaffinity(0)))
    ap.add_argument("-r", "--rounds", type=int, default=5)
    ap.add_argument("--warmup", type=int, default=1, help="rounds that are not counted")
    ap.add_argument("--pause", type=float, default=0.5, help="seconds between runs")
    ap.add_argument("--timeout", type=float, default=600)
    ap.add_argument("--load", action="store_true", help="time to the first token and peak RSS instead")
    ap.add_argument("-c", "--context", type=int, default=1024, help="context of --load")
    ap.add_argument("--cold", action="store_true", help="--load with the file out of the page cache")
    ap.add_argument("--json", metavar="FILE", help="write every sample there")
    a = ap.parse_args()

    engines = engines_of(a)
    busy = busy_share()
    if busy > 0.05:
        print(f"compare.py: other processes keep {100 * busy:.0f} % of the CPUs busy; "
              "only ratios mean anything", file=sys.stderr)
    report = {"threads": a.threads, "rounds": a.rounds, "busy_before": round(busy, 3),
              "commands": {e.name: shlex.join(e.command) for e in engines}, "models": []}
    any_failed = False
    for model in a.model:
        if not os.path.isfile(model):
            sys.exit(f"compare.py: no file {model}")
        samples, failures = run_model(model, engines, a)
        ratios = print_report(model, samples, engines, a)
        any_failed = any_failed or bool(failures)
        report["models"].append({"file": model, "bytes": os.path.getsize(model),
                                 "samples": samples, "failures": failures, "ratios": ratios})
        if a.json:
            with open(a.json, "w") as f:
                json.dump(report, f, indent=1)
    sys.exit(1 if any_failed else 0)


if __name__ == "__main__":
    main()
