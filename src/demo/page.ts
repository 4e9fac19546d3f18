// The demo's page: connect to a WebSocket path of this host, send, and see what comes. One file, nothing loaded from
// elsewhere. Only the demo's REST backend serves it; the gateway's own status page is another.

/** The page, with `paths` to choose from. */
export function demoPage(paths: readonly string[]): string {
  const options = paths.map((path) => `<option value="${escapeHtml(path)}">`).join('');
  const first = escapeHtml(paths[0] ?? '/');
  return PAGE.replace('{{options}}', () => options).replace('{{first}}', () => first);
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

const STYLE = `
:root { color-scheme: light dark; --ink: #1d2430; --dim: #5c6675; --paper: #f6f7f9; --card: #fff; --line: #d5dae1;
  --accent: #0b63ce; --on-accent: #fff; --good: #14713d; --bad: #b3261e; --mono: ui-monospace, Menlo, Consolas, monospace; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --dim: #9aa5b4; --paper: #12161c; --card: #1a2029;
  --line: #323b48; --accent: #7db4ff; --on-accent: #0c1a2c; --good: #6fd39a; --bad: #ff8f85; } }
* { box-sizing: border-box; }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
main { max-width: 46rem; margin: 0 auto; padding: 2rem 1rem 3rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.05rem; margin: 0; }
p { margin: 0 0 1rem; color: var(--dim); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem; margin-top: 1.25rem; }
header { display: flex; justify-content: space-between; align-items: baseline; gap: 1rem; margin-bottom: .75rem; }
form { display: flex; gap: .5rem; align-items: end; }
label { flex: 1; min-width: 0; font-size: .85rem; color: var(--dim); }
input { display: block; width: 100%; margin-top: .2rem; font: .95rem var(--mono); }
input, button { height: 2.5rem; padding: 0 .75rem; border-radius: 6px; border: 1px solid var(--line); color: var(--ink); background: var(--paper); }
button { flex: none; width: 8.25rem; font: inherit; font-weight: 600; cursor: pointer; color: var(--on-accent); background: var(--accent); border-color: transparent; }
button:disabled, input:disabled { opacity: .5; cursor: not-allowed; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
#state { font-size: .85rem; font-weight: 600; color: var(--dim); white-space: nowrap; }
#state.open { color: var(--good); }
#state.failed { color: var(--bad); }
#log { list-style: none; margin: .75rem 0; padding: .5rem .75rem; height: 16rem; overflow-y: auto; border: 1px solid var(--line);
  border-radius: 6px; background: var(--paper); font: .875rem/1.5 var(--mono); }
#log li { display: grid; grid-template-columns: 4.6rem 1.2rem 1fr; }
#log span { overflow-wrap: anywhere; white-space: pre-wrap; min-width: 0; }
#log time, #log .note { color: var(--dim); }
#log .in b { color: var(--good); }
#log .out b { color: var(--accent); }
#log:empty::before { content: 'Nothing yet: connect, then send something.'; color: var(--dim); }
a { color: var(--accent); }
ul.plain { margin: 0; padding-left: 1.1rem; }
code { font-family: var(--mono); font-size: .9em; overflow-wrap: anywhere; }
@media (max-width: 30rem) { main { padding-top: 1rem; } form { flex-wrap: wrap; } label, button { flex: 1 1 100%; } #log { height: 13rem; }
  #log li { grid-template-columns: 1.2rem 1fr; } #log time { display: none; } }
`;

const SCRIPT = `
const find = (id) => document.getElementById(id);
const log = find('log'), state = find('state'), message = find('message'), toggle = find('toggle'), send = find('send');
const MARKS = { in: '←', out: '→', note: '·' };
let socket;

function write(kind, text) {
  const line = document.createElement('li'), time = document.createElement('time');
  const mark = document.createElement('b'), body = document.createElement('span');
  line.className = kind;
  time.textContent = new Date().toTimeString().slice(0, 8);
  mark.textContent = MARKS[kind];
  body.textContent = text;
  line.append(time, mark, body);
  log.append(line);
  while (log.childElementCount > 300) log.firstChild.remove();
  log.scrollTop = log.scrollHeight;
}

function show(text, kind, label) {
  state.textContent = text;
  state.className = kind;
  toggle.textContent = label;
  message.disabled = send.disabled = kind !== 'open';
}

function connect(target) {
  let opened = false, next;
  try {
    const base = (location.protocol === 'https:' ? 'wss://' : 'ws://') + location.host;
    next = new WebSocket(/^wss?:/.test(target) ? target : base + '/' + target.replace(/^\\/+/, ''));
  } catch (error) {
    write('note', error.message);
    return show('not connected', 'failed', 'Connect');
  }
  socket = next;
  next.binaryType = 'arraybuffer';
  write('note', 'connecting to ' + next.url);
  show('connecting …', '', 'Cancel');
  next.onopen = () => {
    opened = true;
    write('note', 'open; extensions: ' + (next.extensions || 'none'));
    show('connected', 'open', 'Disconnect');
    message.focus();
  };
  next.onmessage = ({ data }) => write('in', typeof data === 'string' ? data : '[' + data.byteLength + ' bytes]');
  next.onclose = ({ code, reason }) => {
    if (socket === next) socket = undefined;
    write('note', opened ? 'closed: ' + code + (reason ? ' ' + reason : '') : 'refused; why: see the network tab, or curl');
    show('not connected', opened ? '' : 'failed', 'Connect');
  };
}

find('connect').onsubmit = (event) => {
  event.preventDefault();
  if (socket) socket.close(1000);
  else connect(find('target').value.trim());
};
find('say').onsubmit = (event) => {
  event.preventDefault();
  if (socket?.readyState !== 1 || message.value === '') return;
  socket.send(message.value);
  write('out', message.value);
  message.value = '';
};
`;

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Upgate demo</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
<main>
<h1>Upgate demo</h1>
<p>This page comes from a REST backend behind the gateway. The WebSocket below goes through it too.</p>
<section>
<header><h2>WebSocket</h2><output id="state">not connected</output></header>
<form id="connect">
<label>Path on this host, or a ws:// address
<input id="target" list="paths" value="{{first}}" autocomplete="off" autocapitalize="off" spellcheck="false" required></label>
<button id="toggle">Connect</button>
</form>
<datalist id="paths">{{options}}</datalist>
<ol id="log" role="log" aria-label="Messages" tabindex="0"></ol>
<form id="say">
<label>Message
<input id="message" autocomplete="off" disabled></label>
<button id="send" disabled>Send</button>
</form>
</section>
<section>
<header><h2>Plain HTTP</h2></header>
<ul class="plain">
<li><a href="/api/hello">/api/hello</a>: a JSON answer</li>
<li><a href="/api/headers">/api/headers</a>: the fields that reach the backend, <code>X-Forwarded-For</code> among them</li>
<li><a href="/api/events">/api/events</a>: Server-Sent Events, one each second</li>
<li><code>curl -d hello /api/echo</code>: what you post comes back</li>
</ul>
</section>
</main>
<script>${SCRIPT}</script>
</html>
`;
