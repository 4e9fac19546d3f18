// Starts the built program (`dist/main.js run -c …`) as users do, as a process of its own, on a config written as a
// value. Ready means that it has said so; nothing here waits for time to pass.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type * as z from 'zod';
import type { schema } from '../../src/config/schema/schema.ts';
import { type LineChild, startChild } from './child.ts';

/** gateway.yaml as a value: what a user may write, before defaults. */
export type GatewayFile = z.input<typeof schema>;

/** The built program; UPGATE_MAIN names another build, such as that of an earlier commit on which a test is to fail. */
export const MAIN = process.env['UPGATE_MAIN'] ?? fileURLToPath(new URL('../../dist/main.js', import.meta.url));

/** One parsed log line. */
export type LogLine = Readonly<Record<string, unknown>>;

export interface Gateway {
  readonly pid: number;
  /** The port of each listener, in the order of the config; 0 for a unix socket. */
  readonly ports: readonly number[];
  /** The first listener's port. */
  readonly port: number;
  readonly adminPort: number;
  /** The config file, to be rewritten before a reload. */
  readonly file: string;
  /** Every log line so far. */
  logs(): LogLine[];
  /** The first log line, past or future, with these values in it. */
  log(fields: LogLine, timeoutMs?: number): Promise<LogLine>;
  /** Everything it has written, to standard output and standard error. */
  output(): string;
  stderr(): string;
  /** A GET on the admin listener. */
  admin(path: string): Promise<{ status: number; text: string }>;
  /** The value of the series of /metrics with exactly these labels, or undefined; `name` stands without its prefix.
   * `protocol` is `1.1` where it is not named. */
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number | undefined>;
  signal(name: NodeJS.Signals): void;
  readonly exited: Promise<number | NodeJS.Signals>;
  /** Ends it (SIGTERM unless told otherwise) and gives its exit code; killed if it will not end. */
  stop(signal?: NodeJS.Signals): Promise<number | NodeJS.Signals>;
}

const asLog = (line: string): LogLine | undefined => {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as LogLine) : undefined;
  } catch {
    return undefined;
  }
};

function readMetric(text: string, name: string, labels: Readonly<Record<string, string>>): number | undefined {
  const wanted = JSON.stringify(Object.entries(labels).sort());
  const byHttp1 = JSON.stringify(Object.entries({ ...labels, protocol: '1.1' }).sort());
  for (const line of text.split('\n')) {
    const [, series, inner = '', value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    if (series !== name) continue;
    const found = [...inner.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key, text]) => [key, text]);
    const labelled = JSON.stringify(found.sort());
    if (labelled === wanted || labelled === byHttp1) return Number(value);
  }
  return undefined;
}

/** Whose HTTP/1.1 the gateways of tests speak where their config does not say: `own` or `node`; unset: the default. */
const SERVER = process.env['TEST_HTTP_SERVER'] as 'own' | 'node' | undefined;
/** Whether that is our own. */
export const OWN_SERVER = SERVER !== 'node';

/** Writes the config to a fresh directory; JSON is YAML. */
export function writeConfig(config: GatewayFile | string): string {
  const file = join(mkdtempSync(join(tmpdir(), 'upgate-')), 'gateway.yaml');
  writeFileSync(file, typeof config === 'string' ? config : JSON.stringify(config, null, 2));
  return file;
}

/** Starts the gateway and waits until it listens. The admin listener takes a free port unless the config names one. */
export async function startGateway(config: GatewayFile, env: NodeJS.ProcessEnv = {}): Promise<Gateway> {
  const http = SERVER === undefined ? config.http : { server: SERVER, ...config.http };
  const file = writeConfig({ admin: { port: 0 }, ...config, ...(http === undefined ? {} : { http }) });
  return gatewayOf(await startChild(process.execPath, [MAIN, 'run', '-c', file], { env }), file);
}

/** A gateway that was started as a child, once it listens. */
export async function gatewayOf(child: LineChild, file: string): Promise<Gateway> {
  const logs = () => child.lines.map(asLog).filter((line) => line !== undefined);
  const named = (msg: string) => logs().filter((line) => line['msg'] === msg);
  await child.line((line) => (asLog(line)?.['msg'] === 'started' ? true : undefined), 'the start');
  const ports = named('listening').map((line) => Number(line['port'] ?? 0));
  const adminPort = Number(String(named('started')[0]?.['admin']).replace(/^.*:/, ''));
  let ended = '';
  void child.exited.then((how) => {
    ended = `the gateway has ended with ${how}: ${child.stderr().slice(-2000)}`;
  });
  const admin = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${adminPort}${path}`).catch((cause: unknown) => {
      throw ended === '' ? cause : new Error(ended, { cause });
    });
    return { status: response.status, text: await response.text() };
  };
  return {
    pid: child.pid,
    ports,
    port: ports[0]!,
    adminPort,
    file,
    logs,
    admin,
    log: (fields, timeoutMs) =>
      child.line(
        (line) => {
          const log = asLog(line);
          return log && Object.entries(fields).every(([key, value]) => log[key] === value) ? log : undefined;
        },
        `a log line with ${JSON.stringify(fields)}`,
        timeoutMs,
      ),
    output: () => `${child.lines.join('\n')}\n${child.stderr()}`,
    stderr: child.stderr,
    metric: async (name, labels = {}) => readMetric((await admin('/metrics')).text, `gateway_${name}`, labels),
    signal: child.signal,
    exited: child.exited,
    stop: async (signal) => {
      const code = await child.stop(signal);
      rmSync(join(file, '..'), { recursive: true, force: true });
      return code;
    },
  };
}
