// npm run bench: what a message, an idle tunnel, a handshake and a plain request cost, in CPU time and memory of the
// gateway's own process, beside whichever rivals are installed, one after the other with the same load. Writes a table in
// Markdown. Linux only: it reads /proc. A ratio within one run says more than a figure: machines differ and are noisy.
//   npm run bench -- [--seconds 3] [--tunnels 2000] [--only upgate,nginx] [--write FILE]
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { installedRivals } from './rivals.mjs';

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '3' },
    tunnels: { type: 'string', default: '2000' },
    only: { type: 'string' },
    write: { type: 'string' },
  },
});
if (process.platform !== 'linux') throw new Error('npm run bench needs Linux: it reads /proc');
const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const dir = mkdtempSync(join(tmpdir(), 'upgate-bench-'));
const running = new Set();

function start(command, args, env = {}) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, ...env } });
  running.add(child);
  child.once('exit', () => running.delete(child));
  return child;
}

async function stop(child) {
  if (!running.has(child)) return;
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 3000);
  await once(child, 'exit');
  clearTimeout(timer);
}

const firstLine = async (child) => String((await once(child.stdout, 'data'))[0]).split('\n')[0];

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

async function reachable(port, child) {
  for (let tries = 0; tries < 200; tries++) {
    if (!running.has(child)) throw new Error('it ended at once');
    const socket = net.connect(port, '127.0.0.1');
    const open = await new Promise((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    socket.destroy();
    if (open) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('its port did not open');
}

/** A process and its descendants. */
function family(pid) {
  const children = readdirSync('/proc').filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === pid;
    } catch {
      return false;
    }
  });
  return [pid, ...children.flatMap((name) => family(Number(name)))];
}

const ticks = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** CPU seconds a family of processes has used. */
function cpu(pids) {
  return pids.reduce((sum, pid) => {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return sum + (Number(fields[11]) + Number(fields[12])) / ticks;
  }, 0);
}

function residentBytes(pids) {
  return pids.reduce(
    (sum, pid) => sum + Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024,
    0,
  );
}

async function load(mode, { port, tls, connections, sockets, size = 64, seconds = options.seconds }) {
  const args =
    sockets === undefined
      ? [here('load.mjs'), mode, port, tls ? 1 : 0, connections, size, seconds]
      : [here('http2-load.mjs'), mode, port, sockets, connections, size, seconds];
  const child = start(process.execPath, args.map(String));
  const result = JSON.parse(await firstLine(child));
  if (result.failed > 0 || result.done === 0) throw new Error(`${mode}: ${result.done} done, ${result.failed} failed`);
  return { ...result, child };
}

/** Microseconds of CPU for each thing done. */
async function cost(pids, mode, how) {
  const before = cpu(pids);
  const result = await load(mode, how);
  return { us: ((cpu(pids) - before) / result.done) * 1e6, p99: result.p99 };
}

async function measure(pids, port, tls) {
  const prefix = tls ? 'wss: ' : '';
  const row = {};
  for (const [label, size, connections] of [
    ['64 B', 64, 50],
    ['16 KiB', 16384, 50],
    ['1 MiB', 1048576, 4],
  ]) {
    const { us, p99 } = await cost(pids, 'echo', { port, tls, size, connections });
    row[`${prefix}CPU per ${label} message, us`] = us;
    if (size === 64) row[`${prefix}p99 of a 64 B round trip, us`] = p99;
  }
  row[`${prefix}CPU per handshake, us`] = (await cost(pids, 'open', { port, tls, connections: 20 })).us;
  return { ...row, ...(tls ? await measureHttps(pids, port) : await measurePlain(pids, port)) };
}

/** WebSockets over HTTP/2, fifty on a connection and ten. */
async function measureHttp2(pids, port) {
  const how = { port, connections: 5, sockets: 50 };
  await cost(pids, 'echo', { ...how, seconds: '1' });
  const { us } = await cost(pids, 'echo', how);
  const memory = {};
  // The first ones let V8's heap grow by what their handshakes leave behind.
  for (const state of ['cold', 'warm']) {
    const before = residentBytes(pids);
    const sockets = Number(options.tunnels);
    const { done, child } = await load('idle', { port, sockets, connections: sockets / 50, seconds: '3' });
    memory[`over HTTP/2: memory per idle tunnel of ${done}, 50 a connection, ${state}, KiB`] =
      (residentBytes(pids) - before) / done / 1024;
    await stop(child);
    await new Promise((resolve) => setTimeout(resolve, 3000));
  }
  return { 'over HTTP/2: CPU per 64 B message, 50 sockets on 5 connections, us': us, ...memory };
}

/** How long a gateway has nothing to do before the last row of plain requests. */
const PAUSE_MS = 8000;

/** Plain requests, each kind warmed up with itself. */
async function measurePlain(pids, port) {
  const row = {};
  const how = { port, tls: false, connections: 50 };
  for (const [label, mode, size] of [
    ['plain request with a 10 KB answer', 'get', 10_240],
    ['plain request with a 1 KB body (POST)', 'post', 1024],
    ['plain request', 'get', 2],
  ]) {
    await cost(pids, mode, { ...how, size, seconds: '2' });
    row[`CPU per ${label}, us`] = (await cost(pids, mode, { ...how, size })).us;
  }
  await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  row[`CPU per plain request after a pause of ${PAUSE_MS / 1000} s, us`] = (
    await cost(pids, 'get', { ...how, size: 2 })
  ).us;
  return row;
}

/** Plain requests over TLS, warmed up. */
async function measureHttps(pids, port) {
  const how = { port, tls: true, connections: 50, size: 2 };
  await cost(pids, 'get', { ...how, seconds: '2' });
  return { 'https: CPU per plain request, us': (await cost(pids, 'get', how)).us };
}

/** Memory per idle tunnel, everything counted; `state` is how the process was before. */
async function measureIdle(pids, port, state) {
  const before = residentBytes(pids);
  const { done, child } = await load('idle', { port, tls: false, connections: options.tunnels, seconds: '3' });
  const each = (residentBytes(pids) - before) / done / 1024;
  await stop(child);
  return { [`memory per idle tunnel of ${done}, ${state}, KiB`]: each };
}

async function run(rival, backend, pair) {
  const port = await freePort();
  const [command, args] = rival.command({ dir, port, backend, pair });
  const child = start(command, args, rival.env);
  child.stdout.resume();
  try {
    await reachable(port, child);
    const pids = family(child.pid);
    if (pair) {
      const row = await measure(pids, port, true);
      return rival.http2 ? { ...row, ...(await measureHttp2(pids, port)) } : row;
    }
    // What starting took may be given back first.
    await new Promise((resolve) => setTimeout(resolve, 2500));
    // First in a cold process, whose heap grows by what the handshakes leave behind, and again once it has grown.
    const cold = await measureIdle(pids, port, 'cold');
    const row = await measure(pids, port, false);
    return { ...row, ...cold, ...(await measureIdle(pids, port, 'warm')) };
  } finally {
    await stop(child);
  }
}

function makeCertificate() {
  const [cert, key, both] = ['cert.pem', 'key.pem', 'both.pem'].map((name) => join(dir, name));
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '2',
      '-keyout',
      key,
      '-out',
      cert,
      ...subject,
    ],
    { stdio: 'ignore' },
  );
  writeFileSync(both, readFileSync(cert, 'utf8') + readFileSync(key, 'utf8'));
  return { cert, key, both };
}

function format(results) {
  const names = results.map(({ name }) => name);
  const keys = [...new Set(results.flatMap(({ row }) => Object.keys(row)))];
  const shown = (value) => (value === undefined ? '' : value >= 100 ? value.toFixed(0) : value.toFixed(1));
  const lines = keys.map((key) => {
    const values = results.map(({ row }) => row[key]);
    const peers = results.flatMap(({ name, row }) =>
      name.startsWith('upgate') || row[key] === undefined ? [] : [row[key]],
    );
    const ratio = peers.length === 0 || values[0] === undefined ? '' : (values[0] / Math.min(...peers)).toFixed(2);
    return `| ${[key, ...values.map(shown), ratio].join(' | ')} |`;
  });
  return [
    `node ${process.version}, ${availableParallelism()} cores, ${cpus()[0]?.model.trim()}; ${results.map(({ name, version }) => `${name} ${version}`).join(', ')}`,
    '',
    `| | ${names.join(' | ')} | ${names[0]} / best rival |`,
    `|---|${names.map(() => '--:|').join('')}--:|`,
    ...lines,
    '',
  ].join('\n');
}

try {
  const backend = start(process.execPath, [here('backend.mjs')]);
  const backendPort = Number(await firstLine(backend));
  const only = options.only?.split(',');
  const pair = makeCertificate();
  const results = [];
  for (const rival of installedRivals().filter(({ name }) => only === undefined || only.includes(name))) {
    process.stderr.write(`${rival.name} ${rival.version} ...\n`);
    try {
      const plain = rival.tls === 'alone' ? {} : await run(rival, backendPort);
      const tls = rival.tls ? await run(rival, backendPort, pair) : {};
      results.push({ ...rival, row: { ...plain, ...tls } });
    } catch (error) {
      // One gateway that can't be measured is no reason not to measure the others.
      process.stderr.write(`${rival.name}: ${error.message}\n`);
      process.exitCode = 1;
    }
  }
  const table = format(results);
  process.stdout.write(table);
  if (options.write !== undefined) writeFileSync(options.write, table);
  // Rooms have a rival of their own.
  if (only === undefined) execFileSync(process.execPath, [here('rooms.mjs')], { stdio: 'inherit' });
} finally {
  for (const child of running) child.kill('SIGKILL');
  rmSync(dir, { recursive: true, force: true });
}
