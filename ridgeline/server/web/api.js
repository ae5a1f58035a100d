// Talks to the server. Whatever fails is a ServerError whose message is a sentence to be shown,
// or an AbortError where the caller has stopped it.

export class ServerError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

// A browser may refuse storage: then things last until the page is left.
export function remember(storage, name, value) {
  try {
    window[storage].setItem(`ridgeline.${name}`, JSON.stringify(value));
  } catch { /* full or forbidden */ }
}
export function recall(storage, name, otherwise) {
  try {
    return JSON.parse(window[storage].getItem(`ridgeline.${name}`)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

let key = recall('sessionStorage', 'key', '');
export function setKey(value) {
  key = value;
  remember('sessionStorage', 'key', value);
}
export const getKey = () => key;

async function refusal(response) {
  let message = `The server answered ${response.status} ${response.statusText}`;
  try {
    message = (await response.json()).error.message;
  } catch { /* not from the server itself, but from something before it */ }
  const wait = response.headers.get('Retry-After');
  return new ServerError(wait ? `${message} (try again in ${wait} s)` : message, response.status);
}

export async function request(path, { body, signal } = {}) {
  const headers = {};
  if (key) headers.Authorization = `Bearer ${key}`;
  if (body) headers['Content-Type'] = 'application/json';
  let response;
  try {
    response = await fetch(path, {
      method: body ? 'POST' : 'GET', headers, signal, cache: 'no-store',
      body: body && JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ServerError('The server does not answer');
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const broken = () => new ServerError('The connection broke before the end of the answer');
  for (let rest = ''; ;) {
    const { value, done } = await reader.read().catch((error) => {
      throw error.name === 'AbortError' ? error : broken();
    });
    if (done) throw broken();
    const parts = (rest + value).split(/\r?\n\r?\n/);
    rest = parts.pop();
    for (const part of parts) {
      const lines = part.split(/\r?\n/).filter((line) => line.startsWith('data:'));
      const data = lines.map((line) => line.slice(5)).join('\n').trim();
      if (data === '[DONE]') return;
      if (!data) continue;
      const event = JSON.parse(data);
      if (event.error) throw new ServerError(event.error.message);
      yield event;
    }
  }
}

// The pieces of an answer, of chat or (plain) of a text that is continued.
export async function* generate(plain, body, signal) {
  const path = plain ? 'v1/completions' : 'v1/chat/completions';
  for await (const event of events(await request(path, { body, signal }))) {
    const choice = event.choices?.[0];
    yield {
      content: (plain ? choice?.text : choice?.delta?.content) ?? '',
      reasoning: choice?.delta?.reasoning_content ?? '',
      finish: choice?.finish_reason,
      usage: event.usage,
    };
  }
}
