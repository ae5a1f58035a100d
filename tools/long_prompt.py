"""What a long prompt costs those who are generating: eight streams, and after five seconds a prompt
beside them. Prints the time between tokens before and during it, the prompt's own time to its first
token, and how long /health took meanwhile.

    python3 tools/long_prompt.py PORT [PROMPT_TOKENS=4096]

against a server on 127.0.0.1 whose streams last until the prompt is done (a context of 8,192 and a
model that takes some 30 ms a step, e.g. 1 B parameters). Python's standard library only.
"""

import http.client
import json
import os
import sys
import threading
import time

PORT = int(sys.argv[1])
PROMPT_TOKENS = int(sys.argv[2]) if len(sys.argv) > 2 else 4096
STREAMS, OUTPUT_TOKENS, BEFORE_S = 8, 700, 5


def post(body):
    connection = http.client.HTTPConnection("127.0.0.1", PORT)
    connection.request("POST", "/v1/completions", json.dumps(dict(body, temperature=0)),
                       {"Content-Type": "application/json"})
    return connection.getresponse()


def stream(number, times):
    answer = post({"prompt": f"user {number} says: once upon a time there was", "stream": True,
                   "max_tokens": OUTPUT_TOKENS, "ignore_eos": True})
    for line in answer:
        if line.startswith(b"data: {"):
            times.append(time.time())


def watch_health(taken, done):
    while not done.is_set():
        begin = time.time()
        connection = http.client.HTTPConnection("127.0.0.1", PORT)
        connection.request("GET", "/health")
        connection.getresponse().read()
        taken.append(time.time() - begin)
        time.sleep(0.1)


def show(title, gaps):
    gaps.sort()
    at = lambda share: 1e3 * gaps[min(len(gaps) - 1, int(share * len(gaps)))]
    print(f"{title}: {len(gaps)} gaps, median {at(0.5):.1f} ms, P99 {at(0.99):.1f} ms")
    return at(0.5)


times = [[] for _ in range(STREAMS)]
for i in range(STREAMS):
    threading.Thread(target=stream, args=(i, times[i]), daemon=True).start()
time.sleep(BEFORE_S)
health, done = [], threading.Event()
threading.Thread(target=watch_health, args=(health, done), daemon=True).start()
begin = time.time()
answer = json.loads(post({"prompt": [5 + 7919 * i % 4000 for i in range(PROMPT_TOKENS)],
                          "max_tokens": 1}).read())
end = time.time()
done.set()
if "usage" not in answer:
    sys.exit(f"the server refused the prompt: {answer}")
pairs = [pair for t in times for pair in zip(t, t[1:])]
before = show("before", [b - a for a, b in pairs if b < begin])
during = show("during", [b - a for a, b in pairs if a > begin and b < end])
print(f"median during / before: {during / before:.2f}")
print(f"first token of the prompt: {end - begin:.1f} s")
print(f"/health: {1e3 * max(health):.1f} ms at most, of {len(health)}", flush=True)
os._exit(0)  # the streams' threads may still wait
