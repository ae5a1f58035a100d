#!/usr/bin/env bash
# Ridgeline's server and llama-server (llama.cpp's or ik_llama.cpp's) under the same load, one
# after the other, round by round, because a machine's speed drifts by more than servers differ.
# Prints each round's figures, and the median of the rounds' ratios: how many times better ours did.
#
#   RIVAL=path/to/llama-server MODEL=model.gguf tools/bench_serving.sh [options of bench serve]
#
# OUR_ARGS are more arguments of `ridgeline serve`: "--speculate off", "--draft-model small.gguf".
#
# By default: 16 users, prompts of about 100 tokens, outputs of 48, 128 requests, 2 threads, and a
# rival with 16 slots that repacks weights as ik_llama.cpp does. `RIVAL_ARGS="-np 16 -c 4096"` is for
# llama.cpp's, which repacks by itself and knows no -rtr.
set -euo pipefail

: "${RIVAL:?RIVAL: path of llama-server}"
: "${MODEL:?MODEL: path of a GGUF file}"
RIDGELINE=${RIDGELINE:-build/release/ridgeline}
THREADS=${THREADS:-2}
USERS=${USERS:-16}
REQUESTS=${REQUESTS:-128}
PROMPT=${PROMPT:-100}
OUTPUT=${OUTPUT:-48}
ROUNDS=${ROUNDS:-3}
PORT=${PORT:-18080}
WAIT=${WAIT:-120} # seconds for a server to load
# Positions are for all slots together: 256 each.
RIVAL_ARGS=${RIVAL_ARGS--np 16 -c 4096 -rtr}
OUR_ARGS=${OUR_ARGS:-}

logs=$(mktemp -d)
server=
stop() {
  if [ -n "$server" ]; then
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
  fi
}
end() {
  local status=$?
  stop
  if [ "$status" -eq 0 ]; then rm -r "$logs"; else echo "The servers' logs are in $logs." >&2; fi
}
trap end EXIT
trap 'exit 130' INT TERM

# measure NAME PORT ROUND COMMAND...: starts the server, puts the load on it, stops it.
measure() {
  local name=$1 port=$2 round=$3
  shift 3
  "$@" >"$logs/$name.log" 2>&1 &
  server=$!
  "$RIDGELINE" bench serve --url "$name=http://127.0.0.1:$port" --wait "$WAIT" --users "$USERS" \
    --requests "$REQUESTS" --prompt-tokens "$PROMPT" --output-tokens "$OUTPUT" --warmup 4 \
    --seed "$round" --output csv "${options[@]}" | tail -n +2 | sed "s/^/$round,/" >>"$logs/all.csv"
  stop
}

options=("$@")
for round in $(seq "$ROUNDS"); do
  # Words of *_ARGS are arguments.
  # shellcheck disable=SC2086
  measure ridgeline "$PORT" "$round" "$RIDGELINE" serve -m "$MODEL" -t "$THREADS" --host 127.0.0.1 \
    --port "$PORT" $OUR_ARGS
  # Another port: its connections may keep the first from being listened on for a minute.
  # shellcheck disable=SC2086
  measure rival "$((PORT + 1))" "$round" "$RIVAL" -m "$MODEL" -t "$THREADS" --host 127.0.0.1 \
    --port "$((PORT + 1))" $RIVAL_ARGS
done

# Lines of all.csv: round,server,figure,unit,value,p50,p90,p95,p99,max
awk -F, -v rounds="$ROUNDS" '
  function show(title, figure, column, higher,    r, n, i, ours, theirs, ratio, sorted, text) {
    text = sprintf("%-28s", title)
    for (r = 1; r <= rounds; ++r) {
      ours = at[r, "ridgeline", figure, column]
      theirs = at[r, "rival", figure, column]
      text = text sprintf("  %9.2f :%9.2f", ours, theirs)
      if (ours <= 0 || theirs <= 0) continue
      ratio = higher ? ours / theirs : theirs / ours
      for (i = n++; i > 0 && sorted[i - 1] > ratio; --i) sorted[i] = sorted[i - 1]
      sorted[i] = ratio
    }
    if (n == 0) print text, "  no ratio"
    else printf "%s  × %.2f\n", text, n % 2 ? sorted[(n - 1) / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2
  }
  { for (i = 5; i <= NF; ++i) at[$1, $2, $3, i] = $i }
  END {
    print "ridgeline : rival by rounds, and how many times better ridgeline did in their median"
    show("output tokens/s", "output_throughput", 5, 1)
    show("input tokens/s", "input_throughput", 5, 1)
    show("TTFT P50, ms", "ttft", 6, 0)
    show("TTFT P99, ms", "ttft", 9, 0)
    show("inter-token P50, ms", "inter_token", 6, 0)
    show("inter-token P99, ms", "inter_token", 9, 0)
    show("end to end P50, ms", "end_to_end", 6, 0)
    show("end to end P99, ms", "end_to_end", 9, 0)
  }' "$logs/all.csv"
