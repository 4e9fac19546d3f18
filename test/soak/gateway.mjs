// The built gateway under soak, as an operator runs it: a config file that is rewritten, signals, log lines, /metrics, and
// what /proc says of its process.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** More than the soak needs, and few enough to be used up. */
export const DESCRIPTORS = 1024;

const here = (name) => fileURLToPath(new URL(name, import.meta.url));

/** The file; `turn` changes what a reload may change, and nothing that would end a session. */
function configText({ ports, relay, http }, turn) {
  const servers = (scheme) => ports.map((port) => `${scheme}://127.0.0.1:${port}`).join(', ');
  const balance = ['least_connections', 'round_robin', 'random_two'][turn % 3];
  return `
listeners:
  - { host: 127.0.0.1, port: 0, timeouts: { head: 2s } }
  - { host: 127.0.0.1, port: 0, timeouts: { head: 2s }, tls: { self_signed: [localhost] }, http2: { extended_connect: true } }
  - { host: 127.0.0.1, port: 0, timeouts: { head: 2s }, http2: { prior_knowledge: true, extended_connect: true } }
admin: { port: 0 }
upstreams:
  chat:
    servers: [${servers('ws')}]
    balance: ${balance}
    health: { active: { type: tcp, every: 1s, timeout: 500ms }, on_down: close }
  rest:
    servers: [${servers('http')}]
routes:
  - name: spliced
    match: { path: /ws/* }
    websocket: { mode: splice, upstream: chat, origins: any, ping: { every: 1s, timeout: 5s } }
  - name: paused
    match: { path: /paused/* }
    websocket: { mode: splice, upstream: chat, origins: any, limits: { messages_per_second: 200, on_limit: pause } }
  - name: opaque
    match: { path: /opaque/* }
    websocket: { mode: splice, upstream: chat, origins: any, inspect: "off" }
  - name: echo
    match: { path: /local/echo }
    # The clients share one process, which a busy machine holds up for seconds: that is no client that is gone.
    websocket: { mode: terminate, handler: echo, origins: any, ping: { every: 1s, timeout: 20s } }
  - name: rooms
    match: { path: "/rooms/{room}/{user}" }
    websocket: { mode: terminate, handler: rooms, origins: any, rooms: { format: json, history: { count: 100, age: 2s } } }
  - name: api
    match: { path: /* }
    http: { upstream: rest, timeouts: { connect: 2s, head: 5s, idle: ${5 + (turn % 2)}s } }
drain: { grace: 5s, spread: 1s }
relay: { engine: ${relay} }
http: { engine: ${http} }
`;
}

/** `ports` of the backends; `relay` and `http` name engines. */
export async function startGateway({ dir, ...setting }) {
  const file = join(dir, 'gateway.yaml');
  let turn = 0;
  writeFileSync(file, configText(setting, turn));
  const flags = ['--expose-gc', '--require', here('gc-on-signal.cjs')];
  const limited = ['-c', `ulimit -n ${DESCRIPTORS}; exec "$@"`, 'sh', process.execPath];
  const child = spawn('/bin/sh', [...limited, ...flags, here('../../dist/main.js'), 'run', '-c', file], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const stderr = [];
  child.stderr.setEncoding('utf8').on('data', (text) => stderr.push(text));
  const listening = [];
  /** Lines that say that something of the gateway's own broke. */
  const alarms = [];
  /** Why reloads failed. */
  const refusals = [];
  const lines = createInterface({ input: child.stdout });
  const started = new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the gateway ended with ${code}: ${stderr.join('')}`)));
    lines.on('line', (line) => {
      const entry = JSON.parse(line);
      if (entry.msg === 'listening') listening.push(entry);
      if (entry.msg === 'started') resolve(entry);
      if (entry.event === 'config_reloaded') refusals.push(...(entry.problems ?? []));
      if (entry.event === 'internal_error' || entry.reason === 'internal') alarms.push(line);
    });
  });
  const { admin, relay, http } = await started;
  // In the order of the config.
  const [plain, secure, priorKnowledge] = listening.map(({ port }) => port);
  return {
    relay,
    http,
    alarms,
    refusals,
    stderr,
    plain,
    secure,
    priorKnowledge,
    alive: () => child.exitCode === null && child.signalCode === null,
    /** Whether the admin listener answers, within two seconds. */
    async answers(path) {
      const answer = await fetch(`http://${admin}${path}`, {
        headers: { Connection: 'close' },
        signal: AbortSignal.timeout(2000),
      }).catch(() => null);
      await answer?.text();
      return answer?.status === 200;
    },
    reload() {
      turn++;
      // In one step: a file that is read while it is written is another kind of mistake.
      writeFileSync(`${file}.next`, configText(setting, turn));
      renameSync(`${file}.next`, file);
      child.kill('SIGHUP');
    },
    async metrics() {
      const answer = await fetch(`http://${admin}/metrics`);
      return parseMetrics(await answer.text());
    },
    /** Descriptors, and bytes after a collection: those in use in V8's heap and beside it, and those resident. */
    async footprint() {
      child.kill('SIGUSR2');
      child.kill('SIGUSR2');
      await fetch(`http://${admin}/healthz`);
      const samples = await this.metrics();
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
      return {
        descriptors: readdirSync(`/proc/${child.pid}/fd`).length,
        used: sumOf(samples, 'nodejs_heap_size_used_bytes') + sumOf(samples, 'nodejs_external_memory_bytes'),
        resident: Number(/VmRSS:\s+(\d+)/.exec(status)[1]) * 1024,
      };
    },
    async stop() {
      child.kill('SIGTERM');
      const [code] = await once(child, 'exit');
      return code;
    },
    kill: () => child.kill('SIGKILL'),
  };
}

/** Name with labels to value. */
function parseMetrics(text) {
  const samples = new Map();
  for (const line of text.split('\n')) {
    const found = /^(gateway_\w+|nodejs_heap_size_used_bytes|nodejs_external_memory_bytes)(\{.*\})? (\S+)$/.exec(line);
    if (found) samples.set(`${found[1]}${found[2] ?? ''}`, Number(found[3]));
  }
  return samples;
}

/** The sum over all series of a metric whose labels hold every one of `parts`. */
export function sumOf(samples, name, ...parts) {
  let sum = 0;
  for (const [series, value] of samples) {
    if (series.split('{')[0] === name && parts.every((part) => series.includes(part))) sum += value;
  }
  return sum;
}
