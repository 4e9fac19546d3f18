// node test/bench/rooms.mjs, a part of npm run bench: one room of many members, against the broadcast loop of `ws`; memory
// of an idle terminated connection, against a bare `ws` server; and from one gateway to another over Redis. CPU time and
// memory are the server's own process. Linux only: it reads /proc.
//   node test/bench/rooms.mjs [--members 1000] [--seconds 4] [--rounds 3]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    members: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '3' },
  },
});
const [members, seconds, rounds] = [values.members, values.seconds, values.rounds].map(Number);
const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const dir = mkdtempSync(join(tmpdir(), 'upgate-bench-'));
const running = new Set();

function start(command, args) {
  const child = spawn(command, args.map(String), { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const process = {
    pid: child.pid,
    async line(wanted) {
      for (;;) {
        const { value, done } = await lines.next();
        if (done) throw new Error(`${command} ${args[0]} ended`);
        const found = wanted(value);
        if (found !== undefined) return found;
      }
    },
    async stop() {
      if (!running.delete(process)) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
  child.once('exit', () => running.delete(process));
  running.add(process);
  return process;
}

const node = (name, ...args) => start(globalThis.process.execPath, [here(name), ...args]);

async function startWs() {
  const server = node('room-server.mjs');
  return { ...server, port: await server.line((line) => Number(line)) };
}

async function startUpgate({ broker = 'memory', handler = 'rooms' } = {}) {
  const file = join(dir, `gateway-${Math.random()}.yaml`);
  const config = {
    listeners: [{ host: '127.0.0.1', port: 0 }],
    admin: { port: 0 },
    broker,
    routes: [
      {
        name: 'rooms',
        match: { path: '/rooms/{room}/{user}' },
        websocket: { mode: 'terminate', handler, origins: 'any' },
      },
    ],
    log: { access: false },
  };
  writeFileSync(file, JSON.stringify(config));
  const gateway = start(process.execPath, [here('../../dist/main.js'), 'run', '-c', file]);
  // In whatever order they come.
  const awaited = new Set(['listening', broker === 'memory' ? 'started' : 'the broker is there']);
  let port = 0;
  await gateway.line((line) => {
    const log = JSON.parse(line);
    if (log.msg === 'listening') port = log.port;
    awaited.delete(log.msg);
    return awaited.size === 0 || undefined;
  });
  return { ...gateway, port };
}

/** CPU seconds used so far; a tick is 10 ms on every Linux in use. */
function cpu(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

const resident = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);

async function result(load) {
  return load.line((line) => (line.startsWith('{') ? JSON.parse(line) : undefined));
}

async function measureRoom(server) {
  const flood = node('room-load.mjs', 'flood', server.port, members, seconds, 4);
  await flood.line((line) => line === 'started' || undefined);
  const before = cpu(server.pid);
  const { deliveries, ms } = await result(flood);
  const us = ((cpu(server.pid) - before) / deliveries) * 1e6;
  await flood.stop();
  const paced = node('room-load.mjs', 'paced', server.port, members, seconds, 20);
  const { p50, p99 } = await result(paced);
  await paced.stop();
  return {
    [`room of ${members}, 128 B: deliveries per second`]: (deliveries / ms) * 1000,
    'CPU per delivery, us': us,
    'delivery at 20 messages a second, p50, ms': p50,
    'delivery at 20 messages a second, p99, ms': p99,
  };
}

/** Long enough for a server to be calm, and to have given back what it would. */
const CALM_MS = 2500;

/**
 * What the first 4000 connections of a process take, and what 4000 more take then: the first ones also make its heap grow
 * by what handshakes leave behind.
 */
async function measureIdle(server) {
  const read = async () => {
    await new Promise((resolve) => setTimeout(resolve, CALM_MS));
    return resident(server.pid);
  };
  const loads = [];
  const sizes = [await read()];
  for (let n = 0; n < 2; n++) {
    const load = node('room-load.mjs', 'idle', server.port, 4000);
    await load.line((line) => line === 'started' || undefined);
    loads.push(load);
    sizes.push(await read());
  }
  for (const load of loads) await load.stop();
  const [first, second] = [1, 2].map((n) => (sizes[n] - sizes[n - 1]) / 4000);
  return {
    'memory per idle terminated connection, the first 4000 of a process, KiB': first,
    'memory per idle terminated connection, 4000 more, KiB': second,
  };
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function measurePair() {
  const port = await freePort();
  const redis = start('redis-server', ['--port', port, '--bind', '127.0.0.1', '--save', '', '--dir', dir]);
  await redis.line((line) => line.includes('Ready to accept') || undefined);
  const [one, two] = await Promise.all([1, 2].map(() => startUpgate({ broker: `redis://127.0.0.1:${port}` })));
  const { p50, p99 } = await result(node('room-load.mjs', 'pair', one.port, two.port, 3000));
  const alone = await result(node('room-load.mjs', 'pair', one.port, one.port, 3000));
  for (const each of [one, two, redis]) await each.stop();
  return {
    'from one gateway to another over Redis, p50, ms': p50,
    'from one gateway to another over Redis, p99, ms': p99,
    'within one gateway, over Redis, p50, ms': alone.p50,
  };
}

/** Each round starts both anew, one after the other, so that a slow minute of the machine hits both. */
async function rows(measure, handler) {
  const found = { upgate: [], ws: [] };
  for (let round = 0; round < rounds; round++) {
    for (const [name, begin] of [
      ['upgate', () => startUpgate({ handler })],
      ['ws', startWs],
    ]) {
      const server = await begin();
      found[name].push(await measure(server));
      await server.stop();
    }
  }
  return found;
}

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
const shown = (value) => (value >= 100 ? value.toFixed(0) : value.toFixed(2));

try {
  console.log('| median of each | upgate | ws | ratio |\n|---|---|---|---|');
  for (const [measure, handler] of [
    [measureRoom, 'rooms'],
    [measureIdle, 'echo'],
    [measureIdle, 'rooms'],
  ]) {
    const { upgate, ws } = await rows(measure, handler);
    for (const key of Object.keys(upgate[0])) {
      const [ours, theirs] = [upgate, ws].map((list) => median(list.map((row) => row[key])));
      console.log(`| ${handler}: ${key} | ${shown(ours)} | ${shown(theirs)} | ${(ours / theirs).toFixed(2)} |`);
    }
  }
  for (const [key, value] of Object.entries(await measurePair())) console.log(`| ${key} | ${shown(value)} | | |`);
} finally {
  for (const each of [...running]) await each.stop();
  rmSync(dir, { recursive: true, force: true });
}
