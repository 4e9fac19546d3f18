// The console: a WebSocket of the browser's own, and what the gateway says about it. It is served as it stands here, and
// loads nothing from elsewhere. Everything that a peer sends is put into the page as text, never as markup.

const MOST_ENTRIES = 1000;
/** Characters of a text, and bytes of a binary message, that are shown. */
const MOST_TEXT = 4000;
const MOST_BYTES = 256;
const ROUNDS = 10;
const ROUND_MS = 2000;

const at = (id) => document.getElementById(id);
const encoder = new TextEncoder();

/** @type {WebSocket | null} */
let socket = null;
/** Set while latency is measured: takes a message, and tells whether it was its own. */
let measuring = null;
const counts = { sent: 0, received: 0 };
/** Whether the log is at its end, and stays there. */
let following = true;
/** Its height when it was last followed. */
let logHeight = 0;
/** What the gateway said of itself. */
let listening = [];
let routes = [];

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Lets go of work that nobody awaits: what breaks is shown. */
function inBackground(work) {
  work.catch((error) => log('failed', 'console', error.message));
}

function clock(date) {
  const two = (number) => String(number).padStart(2, '0');
  const ms = String(date.getMilliseconds()).padStart(3, '0');
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${ms}`;
}

/** Adds a line to the log; `kind` is sent, received, note or failed. */
function log(kind, what, body, size) {
  const list = at('log');
  const now = new Date();
  const entry = element('li', kind);
  const time = element('time', '', clock(now));
  time.dateTime = now.toISOString();
  const text = element('span', 'body', body);
  if (size) text.append(' ', element('span', 'size', size));
  entry.append(time, element('span', 'what', what), text);
  list.append(entry);
  while (list.children.length > MOST_ENTRIES) list.firstElementChild.remove();
  follow();
}

/** Keeps the newest line in sight, also where the log gets smaller, unless the user has gone back to earlier ones. */
function follow() {
  const view = at('log-scroll');
  if (following) view.scrollTop = view.scrollHeight;
}

function count(direction) {
  counts[direction]++;
  at('counts').textContent = `${counts.sent} sent, ${counts.received} received`;
}

const bytesOf = (number) => (number === 1 ? '1 byte' : `${number} bytes`);

function showText(text) {
  if (text.length <= MOST_TEXT) return [text, bytesOf(encoder.encode(text).length)];
  return [`${text.slice(0, MOST_TEXT)}…`, `${bytesOf(encoder.encode(text).length)}, the first ${MOST_TEXT} characters`];
}

function showBytes(bytes) {
  const shown = Array.from(bytes.subarray(0, MOST_BYTES), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
  return bytes.length <= MOST_BYTES
    ? [shown, bytesOf(bytes.length)]
    : [`${shown} …`, `${bytesOf(bytes.length)}, the first ${MOST_BYTES}`];
}

function setState(state, text) {
  at('state').dataset.state = state;
  at('state').textContent = text;
  const open = state === 'open';
  const busy = state === 'opening' || open || state === 'closing';
  at('connect').disabled = busy;
  at('connect').textContent = state === 'opening' ? 'Connecting…' : 'Connect';
  at('close-form').hidden = !open;
  at('send').disabled = !open;
  at('measure').disabled = !open || measuring !== null || inRoom();
}

/** Whether what is sent goes to other people: probes of latency are not for them. */
function inRoom() {
  return servesOf(at('url').value.trim()) === 'rooms';
}

function servesOf(url) {
  if (!URL.canParse(url)) return null;
  const { pathname } = new URL(url);
  return routes.find(({ path }) => fits(path, pathname))?.serves ?? null;
}

/** Whether a path is one that the pattern of a route matches. */
function fits(pattern, path) {
  const [wanted, given] = [pattern.split('/'), path.split('/')];
  const open = wanted.at(-1) === '*';
  if (open ? given.length < wanted.length : given.length !== wanted.length) return false;
  return wanted.every((step, i) => (open && i === wanted.length - 1) || step.startsWith('{') || step === given[i]);
}

const protocols = () =>
  at('protocols')
    .value.split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');

// ---- connecting ----

async function connect() {
  const url = at('url').value.trim();
  at('why').hidden = true;
  setState('opening', 'Connecting…');
  // What is refused from here on has a greater id.
  const newest = await newestRefusal();
  try {
    socket = new WebSocket(url, protocols());
  } catch (error) {
    setState('failed', 'Not connected');
    log('failed', 'error', error.message);
    return;
  }
  const own = socket;
  own.binaryType = 'arraybuffer';
  let opened = false;
  log('note', 'connect', url);
  const startedAt = performance.now();
  own.addEventListener('open', () => {
    opened = true;
    const chosen = own.protocol === '' ? '' : `, subprotocol ${own.protocol}`;
    setState('open', `Connected${chosen}`);
    log('note', 'open', `in ${(performance.now() - startedAt).toFixed(1)} ms${chosen}`);
    at('message').focus();
    // Where all stands below one another, the answers are to be in sight, too.
    if (!matchMedia('(min-width: 60rem)').matches) at('message-title').scrollIntoView();
  });
  own.addEventListener('message', ({ data }) => receive(data));
  own.addEventListener('close', (event) => {
    socket = null;
    measuring?.stop();
    if (opened) closed(event);
    else inBackground(refused(url, newest));
  });
}

function receive(data) {
  count('received');
  if (measuring?.take(data)) return;
  if (typeof data === 'string') log('received', '← text', ...showText(data));
  else log('received', '← binary', ...showBytes(new Uint8Array(data)));
}

/** What the codes of RFC 6455 §7.4 mean, and the gateway's own. */
const CODES = {
  1000: 'normal',
  1001: 'going away: shutdown, or idle for too long',
  1002: 'protocol error',
  1003: 'unsupported kind of message',
  1005: 'without a code',
  1006: 'no Close came: the connection broke',
  1007: 'invalid text',
  1008: 'against a rule, or too often',
  1009: 'message too big',
  1011: 'the server failed',
  1012: 'restart: connect again',
  1013: 'too slow a reader, or try again later',
  1015: 'TLS failed',
  4401: 'credential expired',
  4403: 'revoked',
};

function closed({ code, reason, wasClean }) {
  const meaning = CODES[code] === undefined ? '' : ` (${CODES[code]})`;
  setState(wasClean ? 'closed' : 'failed', `Closed: ${code}${reason === '' ? '' : ` ${reason}`}`);
  log(wasClean ? 'note' : 'failed', 'close', `${code}${meaning}${reason === '' ? '' : `: ${reason}`}`);
}

/** The id of the newest refusal there is; null where the gateway does not say. */
async function newestRefusal() {
  try {
    const answer = await fetch('/refusals?limit=1');
    return answer.ok ? (await answer.json()).newest : null;
  } catch {
    return null;
  }
}

/** The refusal of a handshake for this URL that came after `newest`; null where the gateway knows of none. */
async function refusalOf(url, newest) {
  if (newest === null) return null;
  const query = new URLSearchParams({ after: String(newest), path: new URL(url).pathname, limit: '100' });
  for (let attempt = 0; attempt < 3; attempt++) {
    const answer = await fetch(`/refusals?${query}`);
    const refusals = answer.ok ? (await answer.json()).refusals : [];
    // Others ask for the same path. A failure names no Origin; a refusal has that of this page.
    const found = [location.origin, null].map((origin) => refusals.find((one) => one.origin === origin)).find(Boolean);
    if (found !== undefined) return found;
    // What a backend did is known a moment after the browser knows of it.
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return null;
}

/** A browser hides the answer to a handshake that failed; the gateway has it in its list. */
async function refused(url, newest) {
  setState('failed', 'Refused, or not reached');
  log('failed', 'failed', 'the handshake failed; asking the gateway why');
  const [found, told] = await Promise.all([refusalOf(url, newest), ask(url, location.origin)]);
  if (found !== null) {
    setState('failed', `Refused: ${found.status} ${found.reason}`);
    showRefusal(found, told);
    log('failed', 'refused', whyOf(found));
  } else if (newest !== null) {
    setState('failed', 'Not seen by this gateway');
    // What its rules would say is beside the point.
    at('why-title').textContent = 'Not seen by this gateway';
    at('why-lines').replaceChildren(element('li', '', unseen(url)));
    at('why').dataset.verdict = 'no';
    at('why').hidden = false;
    log('failed', 'unseen', unseen(url));
  } else if (told !== null && told.reason !== null) {
    setState('failed', `Refused: ${told.status} ${told.reason}`);
  }
  at('state').scrollIntoView({ block: 'nearest' });
}

function whyOf({ status, reason, detail, server, rule }) {
  const by = server === null || detail.includes(server) ? '' : `, ${server}`;
  return `${status} ${reason}: ${detail}${by}; decided by ${rule}`;
}

/** A refusal that has happened, above what the rules say now. What explain can't know, such as a rate or a token, may have decided. */
function showRefusal(found, told) {
  const { status, reason, origin } = found;
  const differs = told !== null && told.reason !== reason;
  at('why-title').textContent = `Refused: ${status} ${reason}, asked ${originText(origin ?? '')}`;
  at('why').dataset.verdict = 'no';
  if (told === null) at('why-lines').replaceChildren();
  at('why-lines').prepend(
    element('li', '', whyOf(found)),
    ...(differs ? [element('li', 'note', 'What the rules alone say of it now, without state or credentials:')] : []),
  );
  at('why').hidden = false;
}

function originText(origin) {
  return origin === '' ? 'without an Origin' : `with Origin ${origin}`;
}

/** Why this gateway may have seen nothing of a handshake. */
function unseen(url) {
  const { port, protocol } = new URL(url);
  const asked = Number(port || (protocol === 'wss:' ? 443 : 80));
  const own = listening.find((listener) => listener.port === asked);
  if (own === undefined)
    return `port ${asked} is none of this gateway's (${listening.map((one) => one.port).join(', ')}): something else answered, or nothing`;
  if (own.tls !== (protocol === 'wss:')) return `port ${asked} speaks ${own.tls ? 'TLS: use wss' : 'no TLS: use ws'}`;
  return 'no handshake came: the name leads elsewhere, or the browser does not trust the certificate';
}

/** Asks what becomes of a request; `more` are further parameters, null where they are not given. */
async function ask(url, origin, more = {}) {
  const query = new URLSearchParams({ url });
  if (origin !== '') query.set('origin', origin);
  for (const [name, value] of Object.entries(more)) if (value !== null) query.set(name, value);
  if (protocols().length > 0) query.set('protocol', protocols().join(', '));
  try {
    const response = await fetch(`/explain?${query}`);
    const told = await response.json();
    if (!response.ok) throw new Error(told.detail);
    showWhy(told, origin);
    return told;
  } catch (error) {
    log('failed', 'explain', error.message);
    return null;
  }
}

function showWhy({ status, reason, lines }, origin) {
  const yes = reason === null;
  const verdict = yes ? (status === 101 ? 'Let in' : 'No WebSocket') : `Refused: ${status} ${reason}`;
  at('why').dataset.verdict = yes ? 'yes' : 'no';
  at('why-title').textContent = `${verdict}, asked ${originText(origin)}`;
  at('why-lines').replaceChildren(...lines.map(showStep));
  at('why').hidden = false;
  at('why').scrollIntoView({ block: 'nearest' });
}

/** A step of the decision, `  yes  rule: detail`, in two columns; the other lines as they are. */
function showStep(line) {
  const [, mark, text] = /^ {2}(yes|no ) {2}(.*)$/.exec(line) ?? [];
  if (mark === undefined) return element('li', '', line);
  const step = element('li', `step ${mark.trim()}`);
  step.append(element('span', '', mark.trim()), element('span', '', text));
  return step;
}

// ---- sending ----

const kind = () => document.querySelector('input[name=kind]:checked').value;

const HINTS = {
  text: 'Ctrl and Enter sends.',
  json: 'Checked before it is sent, as a text message. Ctrl and Enter sends.',
  binary: 'Hexadecimal: 00 ff 1a, with or without spaces. Ctrl and Enter sends.',
};

function hint(text, bad) {
  at('message-hint').textContent = text;
  at('message-hint').classList.toggle('bad', bad);
}

/** The message as it goes out; throws with words for a person. */
function compose() {
  const text = at('message').value;
  if (kind() === 'text') return text;
  if (kind() === 'json') {
    JSON.parse(text);
    return text;
  }
  const digits = text.replace(/0x|[\s,:]/gi, '');
  if (!/^[0-9a-f]*$/i.test(digits)) throw new Error('only the digits 0 to 9 and a to f');
  if (digits.length % 2 !== 0) throw new Error('a byte has two digits; the last one has one');
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

function transmit(data) {
  socket.send(data);
  count('sent');
}

function send() {
  if (socket?.readyState !== WebSocket.OPEN) return;
  try {
    const data = compose();
    transmit(data);
    if (typeof data === 'string') log('sent', '→ text', ...showText(data));
    else log('sent', '→ binary', ...showBytes(data));
    hint(HINTS[kind()], false);
    at('message').select();
  } catch (error) {
    hint(`Not sent: ${error.message}`, true);
  }
}

/** One message and its echo; resolves with milliseconds, or null where none came. */
function round(number) {
  const mark = `upgate-latency-${number}-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;
  return new Promise((resolve) => {
    const sentAt = performance.now();
    const end = (ms) => {
      clearTimeout(timer);
      resolve(ms);
    };
    const timer = setTimeout(() => end(null), ROUND_MS);
    measuring.take = (data) => {
      // A room puts the sender's name before it.
      if (typeof data !== 'string' || !data.includes(mark)) return false;
      end(performance.now() - sentAt);
      return true;
    };
    measuring.stop = () => end(null);
    transmit(mark);
  });
}

async function measure() {
  measuring = { take: () => false, stop: () => {} };
  at('measure').disabled = true;
  at('latency').textContent = 'measuring…';
  const times = [];
  for (let number = 0; number < ROUNDS && socket?.readyState === WebSocket.OPEN; number++) {
    const ms = await round(number);
    if (ms === null) break;
    times.push(ms);
  }
  measuring = null;
  at('measure').disabled = socket?.readyState !== WebSocket.OPEN || inRoom();
  if (times.length < ROUNDS) {
    at('latency').textContent = `no echo came back within ${ROUND_MS / 1000} s`;
    return;
  }
  times.sort((one, other) => one - other);
  const [least, most, median] = [times[0], times.at(-1), times[Math.floor(times.length / 2)]];
  const shown = `${median.toFixed(1)} ms (${least.toFixed(1)} to ${most.toFixed(1)}, ${ROUNDS} echoes)`;
  at('latency').textContent = shown;
  log('note', 'latency', shown);
}

// ---- command lines ----

const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function showCommands() {
  const url = at('url').value.trim() || at('url').placeholder;
  const origin = at('origin').value.trim();
  const names = protocols().join(', ');
  const fields = [
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ...(names === '' ? [] : [`Sec-WebSocket-Protocol: ${names}`]),
    ...(origin === '' ? [] : [`Origin: ${origin}`]),
  ];
  const asHttp = url.replace(/^ws/i, 'http');
  at('command-curl').textContent =
    `curl -i -N --http1.1 ${fields.map((field) => `-H ${quote(field)}`).join(' ')} ${quote(asHttp)}`;
  const options = [
    ...protocols().map((name) => `-s ${quote(name)}`),
    ...(origin === '' ? [] : [`-o ${quote(origin)}`]),
  ];
  at('command-wscat').textContent = ['wscat', '-c', quote(url), ...options].join(' ');
}

async function copy(button) {
  const text = at(button.dataset.copy).textContent;
  let done = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // There is no clipboard on plain HTTP beyond this machine: then it is selected, to be copied by hand.
    getSelection().selectAllChildren(at(button.dataset.copy));
    done = false;
  }
  button.textContent = done ? 'Copied' : 'Selected';
  setTimeout(() => {
    button.textContent = 'Copy';
  }, 1500);
}

// ---- presets ----

const VISITOR = `guest-${crypto.getRandomValues(new Uint16Array(1))[0].toString(36)}`;

/** A path that the pattern matches. */
function samplePath(pattern) {
  return pattern
    .replaceAll(/\{([^}]*)\}/g, (_, name) =>
      /^(user|name|nick|member)/i.test(name) ? VISITOR : name === 'room' ? 'lobby' : name,
    )
    .replace(/\*$/, 'demo');
}

function sampleUrl({ host, path }, { port, tls }) {
  const name = host === null ? location.hostname : host.replace(/^\*\./, 'app.');
  const shown = port === (tls ? 443 : 80) ? '' : `:${port}`;
  return `${tls ? 'wss' : 'ws'}://${name}${shown}${samplePath(path)}`;
}

async function loadPresets() {
  try {
    const response = await fetch('/routes');
    const told = await response.json();
    const { listeners } = told;
    listening = listeners;
    routes = told.routes;
    // Without TLS first: a browser has no trust in a certificate that was made for trying out.
    const [listener] = [...listeners].sort((one, other) => Number(one.tls) - Number(other.tls));
    if (listener === undefined) return;
    for (const route of routes) {
      const option = element(
        'option',
        '',
        `${route.name}: ${route.mode} ${route.serves}, ${route.host ?? ''}${route.path}`,
      );
      option.value = sampleUrl(route, listener);
      option.dataset.protocols = route.subprotocols.join(', ');
      at('preset').append(option);
    }
    if (routes.length > 0) {
      at('preset').selectedIndex = 1;
      choosePreset();
    }
  } catch (error) {
    log('failed', 'routes', error.message);
  }
}

function choosePreset() {
  const [option] = at('preset').selectedOptions;
  if (option === undefined || option.value === '') return;
  at('url').value = option.value;
  at('protocols').value = option.dataset.protocols;
  showCommands();
}

// ---- wiring ----

at('connect-form').addEventListener('submit', (event) => {
  event.preventDefault();
  if (socket === null && at('state').dataset.state !== 'opening') inBackground(connect());
});
at('explain').addEventListener('click', () => inBackground(ask(at('url').value.trim(), at('origin').value.trim())));
at('close-form').addEventListener('submit', (event) => {
  event.preventDefault();
  try {
    socket?.close(Number(at('close-code').value), at('close-reason').value);
    setState('closing', 'Closing…');
  } catch (error) {
    log('failed', 'close', error.message);
  }
});
at('send-form').addEventListener('submit', (event) => {
  event.preventDefault();
  send();
});
at('message').addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  send();
});
at('measure').addEventListener('click', () => inBackground(measure()));
at('clear').addEventListener('click', () => {
  at('log').replaceChildren();
  counts.sent = 0;
  counts.received = 0;
  at('counts').textContent = 'nothing yet';
});
at('log-scroll').addEventListener('scroll', ({ target: { scrollHeight, scrollTop, clientHeight } }) => {
  if (scrollHeight - scrollTop - clientHeight < 40) following = true;
  // Before a change of size is followed, it looks as if the user had gone back.
  else if (clientHeight === logHeight) following = false;
});
new ResizeObserver(() => {
  logHeight = at('log-scroll').clientHeight;
  follow();
}).observe(at('log-scroll'));
at('preset').addEventListener('change', choosePreset);
for (const id of ['url', 'protocols', 'origin']) at(id).addEventListener('input', showCommands);
at('url').addEventListener('input', () => {
  at('preset').selectedIndex = 0;
});
for (const radio of document.querySelectorAll('input[name=kind]')) {
  radio.addEventListener('change', () => hint(HINTS[kind()], false));
}
for (const button of document.querySelectorAll('.copy'))
  button.addEventListener('click', () => inBackground(copy(button)));

at('origin').value = location.origin;
hint(HINTS.text, false);
showCommands();

/** `#explain?url=…&origin=…&version=…&protocol=…&from=…&refusal=…`, as the list of refusals links it. */
async function explainLinked() {
  const [name, query] = location.hash.slice(1).split('?');
  if (name !== 'explain') return;
  const asked = new URLSearchParams(query);
  at('url').value = asked.get('url') ?? '';
  at('origin').value = asked.get('origin') ?? '';
  at('protocols').value = asked.get('protocol') ?? '';
  at('preset').selectedIndex = 0;
  showCommands();
  const [found, told] = await Promise.all([
    refusalById(asked.get('refusal')),
    ask(at('url').value, at('origin').value, { from: asked.get('from'), version: asked.get('version') }),
  ]);
  if (found !== null) showRefusal(found, told);
}

/** Null where the gateway knows no such refusal, or none any more. */
async function refusalById(id) {
  if (id === null) return null;
  const answer = await fetch(`/refusals?before=${Number(id) + 1}&limit=1`);
  const [found] = answer.ok ? (await answer.json()).refusals : [];
  return found?.id === Number(id) ? found : null;
}

addEventListener('hashchange', () => inBackground(explainLinked()));
inBackground(loadPresets().then(explainLinked));
