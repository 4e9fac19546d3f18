// Real programs that tests talk to: Debian's Python packages, curl, Prometheus. A missing one skips its tests with a loud
// line, or fails them where REQUIRE_PEERS=1 says that all of them have been installed.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type LineChild, run, startChild } from './child.ts';

/** Debian's own Python, which its packages are installed for; another python3 may stand first in PATH. */
const PYTHON = '/usr/bin/python3';

const PEERS = {
  'python3-websockets': [PYTHON, '-c', 'import websockets'],
  'python3-tornado': [PYTHON, '-c', 'import tornado'],
  'python3-hypercorn': [PYTHON, '-c', 'import hypercorn'],
  'uwsgi-core': ['/usr/bin/uwsgi', '--version'],
  'uwsgi-plugin-python3': ['/usr/bin/uwsgi', '--need-plugin', 'python3', '--version'],
  python3: [PYTHON, '--version'],
  curl: ['curl', '--version'],
  nginx: ['nginx', '-v'],
  haproxy: ['haproxy', '-v'],
  'firefox-esr': ['/usr/bin/firefox-esr', '--version'],
  chromium: ['/usr/bin/chromium', '--version'],
  prometheus: ['prometheus', '--version'],
  'redis-server': ['redis-server', '--version'],
  promtool: ['promtool', '--version'],
  systemd: ['systemd-socket-activate', '--version'],
  // It has no word for its version; with -h it ends with 0.
  pebble: ['pebble', '-h'],
  certbot: ['certbot', '--version'],
  // Any kubectl will do: not all of them come from Debian.
  'kubernetes-client': ['kubectl', 'version', '--client'],
} as const satisfies Record<string, readonly [string, ...string[]]>;

export type PeerName = keyof typeof PEERS;

/** Whether the peers are here; for `describe.skipIf(!hasPeers(…))`. Throws on a missing one under REQUIRE_PEERS=1. */
export function hasPeers(...names: readonly PeerName[]): boolean {
  const missing = names.filter((name) => {
    const [command, ...args] = PEERS[name];
    return spawnSync(command, args, { stdio: 'ignore' }).status !== 0;
  });
  if (missing.length === 0) return true;
  const message = `PEER MISSING: ${missing.join(', ')} (apt-get install ${missing.join(' ')})`;
  if (process.env['REQUIRE_PEERS'] === '1') throw new Error(message);
  process.stderr.write(`\n*** ${message}: its tests are skipped ***\n`);
  return false;
}

const script = (name: string) => fileURLToPath(new URL(`python/${name}`, import.meta.url));

export interface PythonServer {
  readonly port: number;
  readonly child: LineChild;
  /** The first JSON line it printed, past or future, with these values in it. */
  event(fields: Readonly<Record<string, unknown>>): Promise<Record<string, unknown>>;
  stop(signal?: NodeJS.Signals): Promise<number | NodeJS.Signals>;
}

/** Starts a server of `python/`; it picks a free port and prints it as its first line, then a JSON line for each event. */
export async function startPython(name: string, ...args: readonly string[]): Promise<PythonServer> {
  const child = await startChild(PYTHON, ['-u', script(name), ...args]);
  const port = await child.line((line) => (/^\d+$/.test(line) ? Number(line) : undefined), 'its port');
  return {
    port,
    child,
    stop: child.stop,
    event: (fields) =>
      child.line(
        (line) => {
          if (!line.startsWith('{')) return undefined;
          const event = JSON.parse(line) as Record<string, unknown>;
          return Object.entries(fields).every(([key, value]) => event[key] === value) ? event : undefined;
        },
        `an event with ${JSON.stringify(fields)}`,
      ),
  };
}

/** What the Python client is told; see python/client.py. */
export interface ClientPlan {
  readonly url: string;
  readonly origin?: string;
  readonly subprotocols?: readonly string[];
  /** permessage-deflate offered; default true. */
  readonly compression?: boolean;
  /** Each step: send text, send `{repeat, times}` or `{bytes}` (base64), `{receive: n}`, or `{close: code, reason}`. */
  readonly steps: readonly ClientStep[];
}

export type ClientStep =
  | { readonly send: string }
  | { readonly repeat: string; readonly times: number }
  | { readonly bytes: string }
  | { readonly receive: number }
  | { readonly close: number; readonly reason: string };

export interface ClientReport {
  /** Status of a refused handshake, and its fields in small letters; else null. */
  readonly refused: { readonly status: number; readonly fields: Readonly<Record<string, string>> } | null;
  readonly subprotocol: string | null;
  readonly extensions: readonly string[];
  /** Text as it is; binary as `{sha256, length}`; long text too. */
  readonly received: readonly (string | { readonly sha256: string; readonly length: number })[];
  readonly code: number | null;
  readonly reason: string | null;
}

/** Runs Python's `websockets` client through the plan, to its end. */
export async function pythonClient(plan: ClientPlan): Promise<ClientReport> {
  const { code, stdout, stderr } = await run(PYTHON, [script('client.py')], JSON.stringify(plan));
  if (code !== 0) throw new Error(`client.py ended with ${code}\n${stdout}\n${stderr}`);
  return JSON.parse(stdout) as ClientReport;
}
