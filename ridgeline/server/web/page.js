// The conversation: what was said, how it is shown, and how an answer comes about.
import { ServerError, generate, getKey, recall, remember, request, setKey } from './api.js';
import { copyButton, element, showMarkdown } from './markdown.js';
import { startPanel } from './panel.js';

const $ = (id) => document.getElementById(id);
const parameters = $('parameters');
const fields = parameters.elements;

// Turns: {role, content}, and of the assistant's {reasoning, usage, rate, wait, finish, error,
// offersPlain}.
let turns = recall('localStorage', 'conversation', []);
if (!Array.isArray(turns) || turns.some((turn) => typeof turn?.content !== 'string')) turns = [];
let running = null;   // AbortController of the answer that is being written
let editing = false;  // the last message of the user lies in the input

const touch = matchMedia('(pointer: coarse)');
const narrow = matchMedia('(max-width: 60rem)');
const lastIndex = (role) => turns.findLastIndex((turn) => turn.role === role);
const save = () => remember('localStorage', 'conversation', turns);

// ---- Settings

function loadSettings() {
  for (const [name, value] of Object.entries(recall('localStorage', 'settings', {}))) {
    if (name === 'plain') fields.plain.checked = value;
    else if (fields[name]) fields[name].value = value;
  }
}
function settingsChanged() {
  const kept = {};
  for (const field of fields) {
    if (field.name) kept[field.name] = field.type === 'checkbox' ? field.checked : field.value;
  }
  remember('localStorage', 'settings', kept);
  showMode();
}
function showMode() {
  fields.system.disabled = fields.plain.checked;
  $('mode').hidden = !editing && !fields.plain.checked;
  // The API's default, which is short for this.
  const length = fields.max_tokens.value || 16;
  $('mode').textContent = editing ? 'Editing the last message; Esc leaves it as it was.'
    : `Plain completion: the model continues the text, by ${length} tokens (see Settings).`;
}

function stopTexts() {
  const escapes = { n: '\n', t: '\t', '\\': '\\' };
  return fields.stop.value.split('\n').filter(Boolean)
    .map((line) => line.replace(/\\([nt\\])/g, (_, letter) => escapes[letter]));
}

// What is sent for the conversation up to here; only what is set.
function requestBody() {
  const body = {
    stream: true,
    stream_options: { include_usage: true, continuous_usage_stats: true },
  };
  // The assistant's without text: refused, or stopped before its first word.
  const said = turns.filter((turn) => turn.role === 'user' || turn.content);
  if (fields.plain.checked) {
    body.prompt = said.map((turn) => turn.content).join('');
  } else {
    body.messages = said.map(({ role, content }) => ({ role, content }));
    const system = fields.system.value.trim();
    if (system) body.messages.unshift({ role: 'system', content: system });
  }
  for (const field of fields) {
    if (field.type !== 'number') continue;
    if (!field.validity.valid) {
      const name = field.labels[0].textContent;
      throw new ServerError(`${name} in the settings: ${field.validationMessage}`);
    }
    if (field.value !== '') body[field.name] = field.valueAsNumber;
  }
  const stop = stopTexts();
  if (stop.length) body.stop = stop;
  return body;
}

// ---- Showing

function summary({ usage, rate, wait, finish }) {
  const parts = [];
  if (usage) {
    parts.push(`${usage.completion_tokens} tokens`);
    if (rate) parts.push(`${rate < 100 ? rate.toFixed(1) : rate.toFixed(0)} tokens/s`);
    if (wait !== undefined) parts.push(`first after ${wait.toFixed(2)} s`);
    const cached = usage.prompt_tokens_details?.cached_tokens;
    parts.push(`prompt ${usage.prompt_tokens}${cached ? ` (${cached} cached)` : ''}`);
  }
  if (finish === 'length') parts.push('cut off at the limit of tokens');
  else if (finish === 'stopped') parts.push('stopped');
  return parts.join(' · ');
}

function action(textContent, onclick) {
  return element('button', { type: 'button', className: 'small', textContent, onclick });
}

function footer(turn, index) {
  const made = element('footer', {});
  if (running) return made;
  if (turn.role === 'assistant')
    made.append(element('span', { className: 'note', textContent: summary(turn) }));
  if (turn.content) made.append(copyButton(() => turn.content));
  if (index === lastIndex('user')) made.append(action('Edit', edit));
  if (index === turns.length - 1) made.append(action('Retry', retry));
  return made;
}

function sentence(error) {
  const text = error instanceof ServerError ? error.message
    : `The answer could not be read: ${error.message}`;
  return /[.!?)]$/.test(text) ? text : `${text}.`;
}

function failure(turn) {
  const box = element('div', { className: 'error' }, element('p', { textContent: turn.error }));
  box.setAttribute('role', 'alert');
  const onclick = () => {
    fields.plain.checked = true;
    settingsChanged();
    retry();
  };
  const textContent = 'Continue as plain completion';
  if (turn.offersPlain) box.append(element('button', { type: 'button', textContent, onclick }));
  return box;
}

const views = new WeakMap();  // turn → {article, body, reasoning}
function makeView(turn, index) {
  const body = element('div', { className: 'body' });
  const article = element('article', {
    className: `turn ${turn.role}`, ariaLabel: turn.role === 'user' ? 'You' : 'Answer',
  });
  const thoughts = element('div', {});
  const reasoning = element('details', { className: 'reasoning', hidden: true },
                            element('summary', { textContent: 'Reasoning' }), thoughts);
  if (turn.role === 'assistant') article.append(reasoning);
  article.append(body);
  if (turn.error) article.append(failure(turn));
  article.append(footer(turn, index));
  article.classList.toggle('edited', editing && index === lastIndex('user'));
  const view = { article, body, reasoning, thoughts };
  views.set(turn, view);
  fill(turn);
  return article;
}

function fill(turn) {
  const view = views.get(turn);
  const { body, reasoning, thoughts } = view;
  if (turn.role === 'user') body.textContent = turn.content;
  else showMarkdown(body, turn.content);
  if (!turn.reasoning) return;
  thoughts.textContent = turn.reasoning;
  if (reasoning.hidden) {  // open while there is nothing else to read
    reasoning.hidden = false;
    view.thinking = reasoning.open = Boolean(running) && turn === turns.at(-1) && !turn.content;
  } else if (view.thinking && turn.content) {
    view.thinking = reasoning.open = false;
  }
}

// Runs `change` and stays at the end of the conversation if that is what was in sight.
function keepingEnd(change) {
  const log = $('log');
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  change();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function render() {
  const open = turns.length > 0 && views.get(turns.at(-1))?.reasoning.open;
  keepingEnd(() => $('turns').replaceChildren(...turns.map(makeView)));
  if (open) views.get(turns.at(-1)).reasoning.open = true;
  if (running) views.get(turns.at(-1)).article.classList.add('busy');
  $('send').hidden = Boolean(running);
  $('stop').hidden = !running;
  $('new').disabled = turns.length === 0;
  showMode();
}

// ---- Answers

async function answer() {
  const turn = { role: 'assistant', content: '', reasoning: '' };
  const controller = running = new AbortController();
  turns.push(turn);
  render();
  $('log').scrollTop = $('log').scrollHeight;
  $('status').textContent = 'Answering…';

  const began = performance.now();
  let first, frame = 0, failed = null;
  try {
    const body = requestBody();
    for await (const piece of generate(fields.plain.checked, body, controller.signal)) {
      if (piece.content || piece.reasoning) first ??= performance.now();
      turn.content += piece.content;
      turn.reasoning += piece.reasoning;
      if (piece.finish) turn.finish = piece.finish;
      if (piece.usage) turn.usage = piece.usage;
      frame ||= requestAnimationFrame(() => { frame = 0; keepingEnd(() => fill(turn)); });
    }
  } catch (error) {
    if (error.name === 'AbortError') {
      turn.finish = 'stopped';
    } else {
      failed = error;
      turn.error = sentence(error);
      turn.offersPlain = error.status === 400 && /has no chat template/.test(error.message);
    }
  }
  cancelAnimationFrame(frame);
  if (running !== controller) return;  // there is a new conversation
  running = null;
  if (first !== undefined) {
    turn.wait = (first - began) / 1000;
    // After the first token; if the rest came with it, that would be the network's rate.
    const now = performance.now();
    const tokens = turn.usage?.completion_tokens;
    const [count, time] = now - first < 100 ? [tokens, now - began] : [tokens - 1, now - first];
    if (tokens > 1) turn.rate = 1000 * count / time;
  }
  render();
  save();
  const stopped = turn.finish === 'stopped' ? 'Stopped.' : '';
  $('status').textContent = failed ? 'There is no whole answer.' : stopped;
  if (failed?.status === 401) askForKey(turn.error, retry);
  else if (!touch.matches && document.activeElement === document.body) $('input').focus();
}

function send() {
  const text = $('input').value;
  if (running || !text.trim()) return;
  if (editing) turns.length = lastIndex('user');
  editing = false;
  turns.push({ role: 'user', content: fields.plain.checked ? text : text.trim() });
  $('input').value = '';
  fitInput();
  save();
  answer();
}
function stop() {
  running?.abort();
}
function retry() {
  if (running) return;
  turns.length = lastIndex('user') + 1;
  if (turns.length) answer();
}
function edit() {
  editing = true;
  $('input').value = turns[lastIndex('user')].content;
  fitInput();
  render();
  $('input').focus();
}
function leaveEditing() {
  editing = false;
  $('input').value = '';
  fitInput();
  render();
}
function startAnew() {
  stop();
  turns = [];
  running = null;
  editing = false;
  $('status').textContent = '';
  save();
  render();
  $('input').focus();
}

// ---- The rest of the page

function askForKey(reason, then) {
  const dialog = $('key-dialog');
  $('key-reason').textContent = reason;
  $('key-reason').hidden = !reason;
  $('key-input').value = getKey();
  dialog.onclose = () => {
    if (dialog.returnValue !== 'save') return;
    setKey($('key-input').value);
    showModel();
    then?.();
  };
  dialog.returnValue = '';
  if (!dialog.open) dialog.showModal();
  $('key-input').select();
}

async function showModel() {
  try {
    const { data } = await (await request('v1/models')).json();
    $('model').textContent = data[0].id;
    document.title = `${data[0].id} · Ridgeline`;
  } catch (error) {
    $('model').textContent = '';
    if (error.status !== 401) return;
    askForKey(getKey() ? sentence(error) : 'This server wants an API key.');
  }
}

function fitInput() {
  $('input').style.height = 'auto';
  $('input').style.height = `${$('input').scrollHeight + 2}px`;
}

function fold(folded) {
  $('side').classList.toggle('folded', folded);
  $('fold').setAttribute('aria-expanded', String(!folded));
}

$('composer').onsubmit = (event) => { event.preventDefault(); send(); };
$('input').oninput = fitInput;
$('input').onkeydown = (event) => {
  // On a phone Enter is all there is for a new line.
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing || touch.matches) return;
  event.preventDefault();
  send();
};
document.addEventListener('keydown', (event) => {
  if (event.key !== 'Escape' || $('key-dialog').open) return;
  if (running) stop();
  else if (editing) leaveEditing();
  else if (narrow.matches) fold(true);
});
$('stop').onclick = stop;
$('new').onclick = startAnew;
$('key-cancel').onclick = () => $('key-dialog').close();
$('key').onclick = () => askForKey('');
$('fold').onclick = () => fold(!$('side').classList.contains('folded'));
narrow.onchange = () => fold(narrow.matches);
parameters.oninput = settingsChanged;
parameters.onreset = () => setTimeout(settingsChanged);
parameters.onsubmit = (event) => event.preventDefault();

fold(narrow.matches);
loadSettings();
render();
$('log').scrollTop = $('log').scrollHeight;
showModel();
startPanel();
