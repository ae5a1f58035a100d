// The part of Markdown that models write most: fenced code, headings, lists, `code`, **bold**.
// Everything becomes text nodes, never HTML, so a model's output can do nothing but be read.

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export async function copyText(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {  // the clipboard is only there on https and localhost
    const area = element('textarea', { value: text });
    (button.closest('dialog') ?? document.body).append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
  const label = button.textContent;
  button.textContent = 'Copied';
  setTimeout(() => { button.textContent = label; }, 1200);
}

export function copyButton(text) {
  const button = element('button', { type: 'button', className: 'small', textContent: 'Copy' });
  button.onclick = () => copyText(text(), button);
  return button;
}

const kFence = /^ {0,3}(```+|~~~+)\s*([\w+#.-]*).*$/;
const kItem = /^\s*(?:[-*+]|(\d{1,9})[.)])\s+(.*)$/;
const kHeading = /^#{1,6}\s+(.*?)\s*#*$/;

// Blocks of lines, each {kind, lines}; an open fence at the end is code already.
function split(text) {
  const blocks = [];
  let block = null;
  let fence = '';
  const begin = (kind, more) => blocks.push(block = { kind, lines: [], ...more });
  for (const line of text.split('\n')) {
    const mark = kFence.exec(line);
    const item = kItem.exec(line);
    if (fence) {
      if (mark && mark[1].startsWith(fence) && !mark[2]) {
        fence = '';
        block = null;
      } else {
        block.lines.push(line);
      }
    } else if (mark) {
      fence = mark[1];
      begin('code', { language: mark[2] });
    } else if (kHeading.test(line)) {
      begin('heading');
      block.lines.push(kHeading.exec(line)[1]);
      block = null;
    } else if (item) {
      const kind = item[1] ? 'ol' : 'ul';
      if (block?.kind !== kind) begin(kind, { start: item[1] });
      block.lines.push(item[2]);
    } else if (!line.trim()) {
      if (block?.kind === 'p') block = null;
      else if (block) block.gap = true;
    } else if (/^[ou]l$/.test(block?.kind) && (!block.gap || /^\s/.test(line))) {
      block.lines[block.lines.length - 1] += `\n${line.trim()}`;
    } else {
      if (block?.kind !== 'p') begin('p');
      block.lines.push(line);
    }
  }
  return blocks;
}

function inline(text) {
  return text.split(/(``.+?``|`[^`\n]+`|\*\*\S(?:[^\n]*?\S)?\*\*)/).map((part, i) => {
    if (i % 2 === 0) return part;
    if (part.startsWith('**')) return element('strong', {}, ...inline(part.slice(2, -2)));
    return element('code', { textContent: part.replace(/^`+ ?| ?`+$/g, '') });
  });
}

function build({ kind, lines, language, start }) {
  if (kind === 'code') {
    const code = element('code', { textContent: lines.join('\n') });
    const head = element('div', {}, language || 'code', copyButton(() => code.textContent));
    return element('div', { className: 'code' }, head, element('pre', { tabIndex: 0 }, code));
  }
  if (kind === 'heading') return element('h3', {}, ...inline(lines[0]));
  if (kind === 'p') return element('p', {}, ...inline(lines.join('\n')));
  const list = element(kind, {}, ...lines.map((line) => element('li', {}, ...inline(line))));
  if (start) list.start = Number(start);
  return list;
}

const shown = new WeakMap();  // of a container: the source of each of its children

// Shows `text`; blocks that are shown already stay, so that a selection in them does too.
export function showMarkdown(container, text) {
  const blocks = split(text);
  const sources = blocks.map((block) => JSON.stringify(block));
  const before = shown.get(container) ?? [];
  let same = 0;
  while (same < sources.length && sources[same] === before[same]) ++same;
  while (container.childNodes.length > same) container.lastChild.remove();
  container.append(...blocks.slice(same).map(build));
  shown.set(container, sources);
}
