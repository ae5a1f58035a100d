// The live panel: /stats, once a second while somebody can see it.
import { request } from './api.js';

const kSeconds = 120;  // that a line shows
const kGap = 5;        // seconds without a value, over which no line is drawn
const kRungs = ['normal', 'shorter prefill', 'no speculation', 'low priority: shorter answers',
                'low priority: refused', 'new requests: refused'];

const $ = (id) => document.getElementById(id);
const histories = { running: [], waiting: [], generated: [], prompt: [] };
let previous = null;

function figure(value) {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
function duration(seconds) {
  if (seconds === null) return '–';
  return seconds < 1 ? `${figure(seconds * 1e3)} ms` : `${figure(seconds)} s`;
}
function uptime(seconds) {
  for (const [name, length] of [['days', 86400], ['h', 3600], ['min', 60]])
    if (seconds >= 2 * length) return `${Math.floor(seconds / length)} ${name}`;
  return `${seconds} s`;
}
function bytes(count) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  for (; count >= 1000 && unit + 1 < units.length; ++unit) count /= 1024;
  return `${unit ? figure(count) : count} ${units[unit]}`;
}
function percent(part, whole) {
  return whole > 0 ? `${(100 * part / whole).toFixed(0)} %` : '–';
}

function fill(bar, part, whole) {
  bar.style.width = `${whole > 0 ? 100 * part / whole : 0}%`;
}

function draw(svg, points, now) {
  const peak = Math.max(1, ...points.map(([, value]) => value));
  let line = '', area = '', last = -Infinity, end = '';
  for (const [time, value] of points) {
    const x = (kSeconds - (now - time)).toFixed(2);
    const y = (29 - 27 * value / peak).toFixed(2);
    const gap = time - last > kGap;
    line += `${gap ? 'M' : 'L'}${x} ${y}`;
    area += gap ? `${end}M${x} 30L${x} ${y}` : `L${x} ${y}`;
    end = `L${x} 30Z`;
    last = time;
  }
  if (!svg.firstChild) {
    svg.setAttribute('viewBox', `0 0 ${kSeconds} 30`);
    svg.setAttribute('preserveAspectRatio', 'none');
    for (const kind of ['area', 'line']) {
      const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
      path.setAttribute('class', kind);
      svg.append(path);
    }
  }
  svg.firstChild.setAttribute('d', area + end);
  svg.lastChild.setAttribute('d', line);
}

function record(values, now) {
  for (const [name, value] of Object.entries(values)) {
    const points = histories[name];
    points.push([now, value]);
    while (now - points[0][0] > kSeconds) points.shift();
    draw($(`${name}-line`), points, now);
  }
}

function status(text, level = '') {
  $('rung').textContent = text;
  $('rung').className = level;
}

// Of the last ten seconds, as the server has them.
function showSpeculation({ enabled, allowed, drafted, accepted, recent, drafters }) {
  $('speculation').hidden = !enabled;
  const share = recent.acceptance;
  $('accepted').textContent = !allowed ? 'stood down'
    : share !== null ? `${(100 * share).toFixed(0)} %` : recent.speedup !== null ? 'none made' : '–';
  fill($('accepted-share'), allowed ? share ?? 0 : 0, 1);
  const parts = [];
  if (recent.speedup !== null) {
    parts.push(`${figure(recent.tokens_per_pass)} tokens per pass`,
               `about ${figure(recent.speedup)} × plain decoding`);
  }
  const by = drafters.map(({ name, drafted: of, accepted: part }) => `${name} ${percent(part, of)}`);
  parts.push(`since the start ${accepted} of ${drafted} (${by.join(', ')})`);
  $('speculation-note').textContent = parts.join('; ');
}

function show(stats, now) {
  const { requests, tokens, latency_seconds: latency, kv_cache: kv, memory, degradation } = stats;
  if (stats.draining) status('shutting down', 'bad');
  else status(kRungs[degradation.rung] ?? degradation.name,
              degradation.rung === 0 ? '' : degradation.rung < 4 ? 'warn' : 'bad');

  // The lines' rates come from the counters, unless the server was started anew in between.
  const seconds = previous ? now - previous.now : 0;
  const rate = (name) => (seconds > 0 && tokens[name] >= previous.tokens[name]
    ? (tokens[name] - previous.tokens[name]) / seconds : 0);
  record({ running: requests.running, waiting: requests.waiting,
           generated: rate('generated'), prompt: rate('prompt') }, now);
  previous = { now, tokens };
  $('running').textContent = `${requests.running} of ${requests.max_running}`;
  $('waiting').textContent = requests.waiting;
  $('generated').textContent = figure(tokens.generated_per_second);  // of the last ten seconds
  $('prompt').textContent = figure(tokens.prompt_per_second);

  ['time_to_first_token', 'inter_token', 'end_to_end'].forEach((name, row) => {
    ['p50', 'p95', 'p99'].forEach((quantile, column) => {
      $('latency').rows[row].cells[column + 1].textContent = duration(latency[name][quantile]);
    });
  });

  $('kv').textContent = `${percent(kv.in_use, kv.blocks)} in use`;
  fill($('kv-used'), kv.in_use, kv.blocks);
  fill($('kv-cached'), kv.cached, kv.blocks);
  $('kv-note').textContent =
    `${kv.in_use} in use, ${kv.cached} cached, ${kv.blocks - kv.in_use - kv.cached} free blocks; ` +
    `prompt tokens found there: ${percent(kv.prefix_hit_tokens, kv.prefix_query_tokens)}`;
  showSpeculation(stats.speculation);
  $('memory').textContent = bytes(memory.resident_bytes);
  fill($('memory-used'), memory.resident_bytes, memory.limit_bytes);
  $('memory-note').textContent = `of ${bytes(memory.limit_bytes)}; weights ` +
    `${bytes(memory.weight_bytes)}, KV cache up to ${bytes(memory.kv_bytes)}` +
    (memory.draft_bytes > 0 ? `, drafters ${bytes(memory.draft_bytes)}` : '');

  const sum = (counts) => Object.values(counts).reduce((a, b) => a + b, 0);
  $('counts').textContent =
    `${sum(requests.finished)} finished, ${sum(requests.refused)} refused, ` +
    `${requests.preemptions} preempted; ${stats.open_connections} connections; ` +
    `up ${uptime(stats.uptime_seconds)}`;
}

let busy = false;
async function poll() {
  if (busy || document.hidden || !$('panel').open || !$('panel').getClientRects().length) return;
  busy = true;
  try {
    const response = await request('stats', { signal: AbortSignal.timeout(5000) });
    show(await response.json(), performance.now() / 1e3);
  } catch {
    status('does not answer', 'bad');
  }
  busy = false;
}

export function startPanel() {
  setInterval(poll, 1000);
  document.addEventListener('visibilitychange', poll);
  $('panel').addEventListener('toggle', poll);
  poll();
}
