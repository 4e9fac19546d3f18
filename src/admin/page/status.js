// The status tab: what the gateway does, live. One event a second comes from /live; sessions and the config are asked for while they
// are looked at. It loads nothing from elsewhere, and everything that came over the network is put into the page as text.
import { bytes, clock, duration, element, fill, keyedRows, number, rate, sparkline } from './parts.js';

const at = (id) => document.getElementById(id);
const POINTS = 60;
const SESSIONS_MS = 2000;
const FEW = 10;
const MORE_SESSIONS = 50;
const CERTIFICATE_DAYS = 14;
/** The part of a memory budget from which on it counts as full. */
const FULL = 0.9;
const SAID_MS = 10_000;

/** The token that changes need, for as long as the page is open. */
let token = '';
let last = null;
let allRefusals = false;
let moreSessions = false;
let saidTimer;
const history = { sessions: [], handshakes: [], refusals: [], bytes: [] };
let stream = null;
let sessionsTimer;

// ---- the stream ----

function open() {
  if (stream !== null) return;
  stream = new EventSource('/live');
  stream.addEventListener('message', ({ data }) => take(JSON.parse(data)));
  stream.addEventListener('error', () => setState('lost', 'Not reached; trying again'));
}

function setState(state, text) {
  at('gateway-state').dataset.state = state;
  fill(at('gateway-state'), text);
}

function take(event) {
  const { status } = event;
  if (status.draining) setState('draining', 'Draining');
  else if (!status.ready) setState('lost', 'Not ready');
  else if (status.degraded !== null) setState('degraded', `Degraded: ${status.degraded}`);
  else if (status.last_reload?.result === 'failure') setState('degraded', 'Ready, but the last reload failed');
  else if (status.certificate_orders.some(orderFailed))
    setState('degraded', 'Ready, but an order of a certificate failed');
  else if (status.certificates.some(expires)) setState('degraded', 'Ready, but a certificate is about to expire');
  else setState('ready', 'Ready');
  remember(event);
  showFigures(status);
  showServers(event);
  showRoutes(event);
  showRefusals(event.refusals);
  showAbout(status);
  showToken(status.api);
  last = event;
}

const orderFailed = ({ last_error }) => last_error !== null;
const expires = ({ days_left }) => days_left < CERTIFICATE_DAYS;
/** A history is full as a rule, and drops its oldest. */
const full = ({ budget, bytes: used, limit }) => budget !== 'history' && used > FULL * limit;

/** Without a token in the config there is no API, and nothing to enter. */
function showToken(api) {
  at('token-form').hidden = !api;
  if (!api) fill(at('token-state'), 'Read-only: the config has no admin.token');
}

/** What happened a second since the event before. */
function remember({ at: now, status }) {
  const { handshakes, bytes_in, bytes_out } = status.totals;
  const all = Object.values(handshakes).reduce((sum, one) => sum + one, 0);
  const refused = handshakes.rejected + handshakes.failed;
  const now_ = { all, refused, carried: bytes_in + bytes_out, now };
  const before = remember.before ?? now_;
  // After a restart counters begin anew.
  const seconds = Math.max((now - before.now) / 1000, 0.001);
  const per = (name) => Math.max(0, now_[name] - before[name]) / seconds;
  push(history.sessions, status.sessions);
  if (remember.before !== undefined) {
    push(history.handshakes, per('all'));
    push(history.refusals, per('refused'));
    push(history.bytes, per('carried'));
  }
  remember.before = now_;
}

function push(points, value) {
  points.push(value);
  if (points.length > POINTS) points.shift();
}

// ---- what is shown ----

function showFigures(status) {
  const { totals } = status;
  figure('sessions', number(status.sessions), `${number(status.requests)} plain requests being served`);
  const { accepted, passed, rejected, failed } = totals.handshakes;
  const own = passed === 0 ? '' : `, ${number(passed)} answered by a server`;
  figure(
    'handshakes',
    rate(history.handshakes.at(-1) ?? 0),
    `${number(accepted + passed + rejected + failed)} since the start`,
  );
  figure(
    'refusals',
    rate(history.refusals.at(-1) ?? 0),
    `${number(rejected)} rejected, ${number(failed)} failed${own}`,
  );
  figure(
    'bytes',
    `${bytes(history.bytes.at(-1) ?? 0)}/s`,
    `${bytes(totals.bytes_in)} in, ${bytes(totals.bytes_out)} out`,
  );
}

function figure(name, value, more) {
  fill(at(`figure-${name}`), value);
  fill(at(`figure-${name}-more`), more);
  sparkline(at(`spark-${name}`), history[name]);
}

function showServers({ servers, servers_total }) {
  keyedRows(at('servers'), servers, ({ upstream, server }) => `${upstream} ${server}`, makeServer, fillServer);
  emptyNote('servers-empty', servers_total === 0, 'This config has no upstreams.');
  fill(at('servers-count'), servers_total > servers.length ? `the first ${servers.length} of ${servers_total}` : '');
}

function makeServer() {
  const row = document.createElement('tr');
  for (const label of ['Server', 'State', 'Live', 'Rate', 'Errors']) row.append(cell(label));
  const actions = cell('');
  const button = element('button', 'small');
  button.type = 'button';
  button.addEventListener('click', () => setServer(row.item).catch(failed));
  actions.append(button);
  row.append(actions);
  return row;
}

function fillServer(row, item) {
  row.item = item;
  const [name, state, live, per, errors, actions] = row.cells;
  fill(name, `${item.upstream} · ${item.server}`);
  const word = item.state !== 'up' ? item.state : item.healthy ? 'healthy' : 'unhealthy';
  state.dataset.state = item.healthy && item.eligible ? 'good' : 'bad';
  fill(state, item.why === null ? word : `${word}: ${item.why}, since ${clock(item.since)}`);
  fill(live, number(item.live));
  fill(per, `${rate(item.handshakes_per_second + item.requests_per_second)}`);
  const error = item.last_error;
  fill(
    errors,
    error === null ? '0' : `${number(item.errors)}, last ${clock(error.at)}: ${error.reason}, ${error.detail}`,
  );
  const button = actions.firstElementChild;
  fill(button, item.state === 'up' ? 'Drain' : 'Undrain');
  button.disabled = token === '';
  button.setAttribute('aria-label', `${button.textContent} ${item.upstream} ${item.server}`);
}

function showRoutes({ routes, routes_total }) {
  keyedRows(
    at('routes'),
    routes,
    ({ route }) => route,
    () => rowOf(['Route', 'Does', 'Live']),
    (row, item) => {
      for (const [i, value] of [item.route, item.does, number(item.live)].entries()) fill(row.cells[i], value);
    },
  );
  fill(at('routes-count'), routes_total > routes.length ? `the busiest ${routes.length} of ${routes_total}` : '');
}

function showRefusals(refusals) {
  const shown = allRefusals ? refusals : refusals.slice(0, FEW);
  keyedRows(
    at('refusals'),
    shown,
    ({ id }) => String(id),
    makeRefusal,
    () => {},
  );
  at('refusals-more').hidden = refusals.length <= FEW;
  fill(at('refusals-more'), allRefusals ? 'Show fewer' : `Show all ${refusals.length}`);
  emptyNote('refusals-empty', refusals.length === 0, 'Nothing was refused, and nothing has failed.');
}

function makeRefusal(item) {
  const row = rowOf(['Time', 'Client', 'Request', 'Answer', 'Rule']);
  const origin = item.origin === null ? '' : `, Origin ${item.origin}`;
  const request = item.path === null ? item.kind : `${item.host ?? ''}${item.path}${origin}`;
  const values = [
    clock(item.at),
    item.client,
    request,
    `${item.status ?? ''} ${item.reason}: ${item.detail}`,
    item.rule ?? '',
  ];
  for (const [i, value] of values.entries()) fill(row.cells[i], value);
  const link = cell('');
  if (item.host !== null && item.path !== null && item.kind !== 'connection') {
    const anchor = element('a', '', 'Explain');
    anchor.href = explainLink(item);
    link.append(anchor);
  }
  row.append(link);
  return row;
}

function explainLink({ id, kind, scheme, host, path, origin, version, subprotocols, client }) {
  const handshake = kind === 'handshake';
  const name = handshake ? scheme.replace('http', 'ws') : scheme;
  const query = new URLSearchParams({ url: `${name}://${host}${path}`, from: client, refusal: String(id) });
  if (origin !== null) query.set('origin', origin);
  if (version !== null) query.set('version', version);
  if (subprotocols.length > 0) query.set('protocol', subprotocols.join(', '));
  return `#explain?${query}`;
}

function showAbout(status) {
  const { config, last_reload: reload, memory, descriptors, certificates, changes } = status;
  const orders = status.certificate_orders;
  const lines = [
    ['Version', `${status.version}, node ${status.node}, process ${status.pid}`],
    ['Up', `${duration(status.uptime_seconds)}, since ${status.started_at}`],
    ['Engines', `relay ${status.relay.engine}, HTTP ${status.http_engine}, ${status.protocols.join(', ')}`],
    [
      'Listening',
      status.listeners.map(({ host, port, tls }) => `${host ?? ''}:${port}${tls ? ' TLS' : ''}`).join(', '),
    ],
    ['Config', `${config.file}, ${config.hash.slice(0, 12)}, loaded ${config.loaded_at}`],
    ['Last reload', reload === null ? 'none' : showReload(reload)],
    ['Changed here', showChanges(changes)],
    ['Memory', `${bytes(memory.rss)} resident, heap ${bytes(memory.heap_used)} of ${bytes(memory.heap_limit)}`],
    ...memory.budgets.map((budget) => [
      `Budget ${budget.budget}`,
      `${bytes(budget.bytes)} of ${bytes(budget.limit)}`,
      full(budget) ? 'bad' : '',
    ]),
    ['Descriptors', `${descriptors.used ?? 'none left'} of ${descriptors.limit ?? 'unknown'}`],
    [
      'Internal errors',
      Object.entries(status.internal_errors)
        .map(([where, count]) => `${where} ${count}`)
        .join(', ') || 'none',
    ],
    ...certificates.map((certificate) => [
      `Certificate ${certificate.listener}`,
      `${certificate.names}: ${certificate.days_left} days left`,
      expires(certificate) ? 'bad' : '',
    ]),
    ...orders.map((order) => [
      `Ordered from ${order.authority}`,
      `${order.names}: ${showOrder(order)}`,
      orderFailed(order) ? 'bad' : '',
    ]),
  ];
  keyedRows(
    at('about'),
    lines.map(([name, value, state = '']) => ({ name, value, state })),
    ({ name }) => name,
    () => rowOf(['', '']),
    (row, item) => {
      fill(row.cells[0], item.name);
      fill(row.cells[1], item.value);
      row.cells[1].dataset.state = item.state;
    },
  );
  fill(at('problems'), reload !== null && reload.problems.length > 0 ? reload.problems.join('\n') : '');
}

function showOrder({ state, last_error: failed, next_attempt: next }) {
  const then = next === null ? 'an order is under way' : `next attempt ${next}`;
  return failed === null
    ? `${state}, ${then}`
    : `${state}, failed at ${failed.at}: ${failed.reason}, ${failed.detail}; ${then}`;
}

function showReload({ at: when, trigger, result, kept, draining, restart_needed }) {
  if (result === 'failure') return `${when} by ${trigger}: failed, the config before is in force`;
  const left = draining.map(({ why, sessions }) => `, draining ${sessions} (${why})`).join('');
  const waits = restart_needed.length > 0 ? `; a restart is needed for ${restart_needed.join(', ')}` : '';
  return `${when} by ${trigger}: kept ${kept}${left}${waits}`;
}

function showChanges({ log_level, servers, closing }) {
  const found = [
    ...(log_level === null ? [] : [`log level ${log_level}`]),
    ...servers.map(({ upstream, server, state }) => `${upstream} ${server}: ${state}`),
    ...closing.map(({ left, rate: pace }) => `closing ${left} sessions, ${pace} a second`),
  ];
  return found.length === 0 ? 'nothing' : `${found.join('; ')} (until a restart)`;
}

// ---- sessions ----

function failed(error) {
  said('bad', error.message);
}

function refreshSessions() {
  loadSessions().catch(failed);
}

async function loadSessions() {
  clearTimeout(sessionsTimer);
  const limit = moreSessions ? MORE_SESSIONS : FEW;
  const query = new URLSearchParams({ limit: String(limit), sort: at('session-sort').value });
  const search = at('session-search').value.trim();
  if (search !== '') query.set('search', search);
  try {
    const answer = await fetch(`/connections?${query}`);
    const found = await answer.json();
    if (!answer.ok) throw new Error(found.detail);
    keyedRows(at('sessions'), found.connections, ({ id }) => id, makeSession, fillSession);
    fill(at('sessions-count'), `${number(found.matching)} of ${number(found.total)}`);
    at('sessions-more').hidden = found.matching <= FEW;
    fill(at('sessions-more'), moreSessions ? 'Show fewer' : `Show ${Math.min(found.matching, MORE_SESSIONS)}`);
    emptyNote(
      'sessions-empty',
      found.connections.length === 0,
      search === '' ? 'No tunnel is open.' : 'None of them fits.',
    );
  } catch (error) {
    emptyNote('sessions-empty', true, `Not loaded: ${error.message}`);
  }
  if (!at('view-status').hidden && !document.hidden) sessionsTimer = setTimeout(() => refreshSessions(), SESSIONS_MS);
}

function makeSession() {
  const row = rowOf(['Client', 'Route', 'Server', 'Age', 'Traffic', 'Rate']);
  const actions = cell('');
  const button = element('button', 'small', 'Close');
  button.type = 'button';
  button.addEventListener('click', () => closeSession(row.item).catch(failed));
  actions.append(button);
  row.append(actions);
  return row;
}

function fillSession(row, item) {
  row.item = item;
  const messages = item.messages_in === null ? '' : `, ${number(item.messages_in + item.messages_out)} messages`;
  const values = [
    item.user === null ? item.client : `${item.client} · ${item.user}`,
    `${item.route} ${item.path}`,
    item.server ?? 'here',
    `${duration(item.age_seconds)}, idle ${duration(item.idle_seconds)}`,
    `${bytes(item.bytes_in)} in, ${bytes(item.bytes_out)} out${messages}`,
    `${bytes(item.bytes_per_second)}/s`,
  ];
  for (const [i, value] of values.entries()) fill(row.cells[i], value);
  const button = row.cells[values.length].firstElementChild;
  button.disabled = token === '';
  button.setAttribute('aria-label', `Close the tunnel of ${item.client}, ${item.id}`);
}

// ---- changes ----

async function change(method, path, body) {
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
  try {
    const answer = await fetch(path, { method, headers, body: JSON.stringify(body) });
    const told = await answer.json();
    if (!answer.ok) throw new Error(`${answer.status} ${told.reason}: ${told.detail}`);
    said('good', done(told));
  } catch (error) {
    said('bad', error.message);
  }
}

/** In sight wherever the page is scrolled to, for a while. */
function said(state, text) {
  at('change-state').dataset.state = state;
  fill(at('change-state'), text);
  clearTimeout(saidTimer);
  saidTimer = setTimeout(() => fill(at('change-state'), ''), SAID_MS);
}

function done({ closing = 0 }) {
  return closing === 0
    ? 'Done.'
    : `Done: ${number(closing)} ${closing === 1 ? 'tunnel is' : 'tunnels are'} being closed.`;
}

async function setServer({ upstream, server, state }) {
  const next = state === 'up' ? 'drain' : 'up';
  if (next === 'drain' && !confirm(`Drain ${server} of ${upstream}? Its tunnels are closed at a pace.`)) return;
  await change('PUT', `/upstreams/${encodeURIComponent(upstream)}/servers/${encodeURIComponent(server)}`, {
    state: next,
  });
}

async function closeSession({ id, client }) {
  if (!confirm(`Close the tunnel of ${client}?`)) return;
  await change('POST', '/connections/close', { id });
  await loadSessions();
}

// ---- parts ----

function cell(label) {
  const made = element('td', '');
  if (label !== '') made.dataset.label = label;
  return made;
}

function rowOf(labels) {
  const row = document.createElement('tr');
  row.append(...labels.map(cell));
  return row;
}

function emptyNote(id, empty, text) {
  at(id).hidden = !empty;
  fill(at(id), text);
}

// ---- wiring ----

at('token-form').addEventListener('submit', (event) => {
  event.preventDefault();
  token = at('token').value.trim();
  fill(at('token-state'), token === '' ? 'Read-only' : 'The token is used for changes, until this page is closed');
  if (last !== null) showServers(last);
  refreshSessions();
});
at('refusals-more').addEventListener('click', () => {
  allRefusals = !allRefusals;
  if (last !== null) showRefusals(last.refusals);
});
at('sessions-more').addEventListener('click', () => {
  moreSessions = !moreSessions;
  refreshSessions();
});
at('session-form').addEventListener('submit', (event) => event.preventDefault());
at('session-search').addEventListener('input', () => refreshSessions());
at('session-sort').addEventListener('change', () => refreshSessions());
addEventListener('upgate-view', ({ detail }) => {
  if (detail.view !== 'status') {
    stream?.close();
    stream = null;
    return;
  }
  open();
  refreshSessions();
});
document.addEventListener('visibilitychange', () => {
  if (!document.hidden && !at('view-status').hidden) refreshSessions();
});
if (!at('view-status').hidden) {
  open();
  refreshSessions();
}
