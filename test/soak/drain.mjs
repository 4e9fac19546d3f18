// npm run drains: how a gateway ends while it carries live tunnels with traffic, requests that are under way, and answers that
// have no end; Upgate in four forms, and nginx, HAProxy and Caddy where they are installed. Each gets the same time. It prints the
// table of docs/comparison.md, and exits with 1 where Upgate did not keep its word.
//   npm run drains -- [--tunnels 2000] [--grace 20] [--spread 10] [--only NAME[,NAME]] [--json]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startBackend } from './drain-backend.mjs';
import { openTunnels, request } from './drain-clients.mjs';
import { installedGateways } from './drain-gateways.mjs';

const { values: options } = parseArgs({
  options: {
    tunnels: { type: 'string', default: '2000' },
    grace: { type: 'string', default: '20' },
    spread: { type: 'string', default: '10' },
    only: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});
const [tunnels, grace, spread] = [options.tunnels, options.grace, options.spread].map(Number);
if (!(tunnels >= 1 && tunnels <= 4000 && grace >= 1 && grace <= 120 && spread >= 0 && spread <= grace))
  throw new Error('--tunnels is from 1 to 4000, --grace from 1 to 120 seconds, --spread not more than that');

/** A message on each tunnel so often: a thousand a second over 2,000 of them. */
const EVERY_MS = 2000;
const REQUESTS = 20;
/** For what is reported after the last cut, and for a slow machine. */
const SLACK_MS = 3000;

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Resolves when something listens there. */
async function listening(port) {
  for (let tries = 0; tries < 300; tries++) {
    const probe = net.connect({ host: '127.0.0.1', port });
    const up = await new Promise((resolve) =>
      probe.once('connect', () => resolve(true)).once('error', () => resolve(false)),
    );
    probe.destroy();
    if (up) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`nothing listens on ${port}`);
}

const tally = (ends) => {
  const counts = {};
  for (const { how } of ends) counts[how] = (counts[how] ?? 0) + 1;
  return counts;
};

/** The most that ended within one second: as many will come back at once. */
function busiestSecond(ends) {
  const times = ends.map(({ at }) => at).sort((a, b) => a - b);
  let most = 0;
  for (let first = 0, last = 0; last < times.length; last++) {
    while (times[last] - times[first] >= 1000) first++;
    most = Math.max(most, last - first + 1);
  }
  return most;
}

async function measure(gateway, dir) {
  const backend = await startBackend();
  const port = await freePort();
  const [command, args] = gateway.command({ dir, port, backend: backend.port, grace, spread });
  // Caddy saves its config under the user's name.
  const env = { ...process.env, XDG_CONFIG_HOME: dir, XDG_DATA_HOME: dir };
  const child = spawn(command, args, { env, stdio: ['ignore', 'ignore', gateway.own ? 'inherit' : 'ignore'] });
  const exited = once(child, 'exit');
  try {
    await listening(port);
    const live = await openTunnels(gateway.kind, port, tunnels, EVERY_MS);
    const endless = Array.from({ length: REQUESTS }, () => request(gateway.kind, port, '/endless'));
    await Promise.all(endless.map(({ begun }) => begun));
    const requests = Array.from({ length: REQUESTS }, () => request(gateway.kind, port, '/slow'));
    // Where they fail before, that is told as any other end.
    await Promise.race([backend.slowUnderWay(REQUESTS), Promise.all(requests.map(({ ended }) => ended))]);
    const start = performance.now();
    child.kill(gateway.signal);
    const killer = setTimeout(() => child.kill('SIGKILL'), grace * 1000 + SLACK_MS * 3);
    const [ends, slow, streams, [code, signal]] = await Promise.all([
      Promise.all(live.map(({ ended }) => ended)),
      Promise.all(requests.map(({ ended }) => ended)),
      Promise.all(endless.map(({ ended }) => ended)),
      exited,
    ]);
    clearTimeout(killer);
    const seconds = (list) => Math.round((Math.max(...list.map(({ at }) => at)) - start) / 100) / 10;
    return {
      ...{ name: gateway.name, version: gateway.version, tunnels: tally(ends), last: seconds(ends) },
      busiest: busiestSecond(ends),
      ...{ requests: tally(slow), endless: tally(streams), lastEndless: seconds(streams), exit: code ?? signal },
    };
  } finally {
    child.kill('SIGKILL');
    backend.close();
  }
}

/** What Upgate promises; a text says what it has not kept. */
function broken({ tunnels: ends, requests, endless, last, exit }) {
  if (ends['clean 1001'] !== tunnels) return `tunnels: ${JSON.stringify(ends)}`;
  if (requests['whole'] !== REQUESTS) return `requests: ${JSON.stringify(requests)}`;
  if (endless['whole'] !== REQUESTS) return `endless answers: ${JSON.stringify(endless)}`;
  if (last > spread + grace) return `the last tunnel ended after ${last} s`;
  return exit === 0 ? null : `exit ${exit}`;
}

const shown = (counts) =>
  Object.entries(counts)
    .map(([how, count]) => `${count} ${how}`)
    .join(', ');

function table(results) {
  return [
    '| | tunnels | the last after | most in one second | requests under way | endless answers | the last after | exit |',
    '|---|---|---|---|---|---|---|---|',
    ...results.map(
      ({ name, version, tunnels: ends, last, busiest, requests, endless, lastEndless, exit }) =>
        `| ${name} ${version} | ${shown(ends)} | ${last} s | ${busiest} | ${shown(requests)} | ${shown(endless)} | ${lastEndless} s | ${exit} |`,
    ),
  ].join('\n');
}

const chosen = options.only?.split(',');
const results = [];
const faults = [];
for (const gateway of installedGateways().filter(({ name }) => chosen?.includes(name) ?? true)) {
  const dir = mkdtempSync(join(tmpdir(), 'upgate-drain-'));
  const result = await measure(gateway, dir);
  rmSync(dir, { recursive: true, force: true });
  results.push(result);
  const fault = gateway.own ? broken(result) : null;
  if (fault !== null) faults.push(`${gateway.name}: ${fault}`);
  if (!options.json) process.stderr.write(`${gateway.name}: ${shown(result.tunnels)}\n`);
}
process.stdout.write(`${options.json ? JSON.stringify(results) : table(results)}\n`);
for (const fault of faults) process.stderr.write(`NOT KEPT: ${fault}\n`);
process.exit(faults.length === 0 ? 0 : 1);
