import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import type { GatewayEvent } from '../../../src/events.ts';
import { createLog, type LogSettings } from '../../../src/observe/log.ts';
import { bundle } from '../../support/bundle.mjs';
import { EVENTS } from './every-event.ts';

const ALL: LogSettings = { level: 'trace', access: true, format: 'json' };

function open(settings: LogSettings = ALL) {
  const lines: string[] = [];
  const log = createLog({
    ...settings,
    destination: { write: (line) => void lines.push(line), flush: async () => {} },
  });
  return { log, lines, parsed: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

function lineOf(event: GatewayEvent, settings = ALL): Record<string, unknown> | undefined {
  const { log, parsed } = open(settings);
  log.emit(event);
  return parsed()[0];
}

const subject = {
  id: 'req-1',
  route: 'chat',
  client: '192.0.2.7',
  method: 'GET',
  host: 'app.example.com',
  path: '/ws/room',
  protocol: '1.1',
  user: 'ada',
};
const at = { upstream: 'chat', server: 'ws://127.0.0.1:9001' };

describe('each event has its line', () => {
  const cases: { readonly [T in GatewayEvent['type']]: Record<string, unknown> } = {
    session_opened: {
      level: 'info',
      ...subject,
      connection: 'c-1',
      mode: 'splice',
      ...at,
      origin: 'https://app.example.com',
      subprotocol: 'chat.v2',
      duration_ms: 12.35,
    },
    session_closed: {
      level: 'info',
      ...subject,
      connection: 'c-1',
      mode: 'terminate',
      ...at,
      duration_ms: 90_000,
      bytes_in: 10,
      bytes_out: 20,
      messages_in: 1,
      messages_out: 2,
      bytes_discarded: 0,
      close_code: 1000,
      closed_by: 'client',
      reason: 'closed',
      cut: false,
    },
    handshake_rejected: {
      level: 'info',
      ...subject,
      mode: 'splice',
      status: 403,
      reason: 'origin',
      detail: 'not in the list',
      rule: 'routes.chat.websocket.origins',
      origin: 'https://evil.example',
      version: '13',
      subprotocols: ['chat.v2'],
    },
    handshake_failed: {
      level: 'info',
      ...subject,
      mode: 'splice',
      ...at,
      status: 502,
      reason: 'backend_refused',
      detail: 'ECONNREFUSED',
      rule: 'upstreams.chat.servers',
    },
    handshake_passed: { level: 'info', ...subject, mode: 'splice', ...at, status: 403, origin: null, duration_ms: 7 },
    request_completed: {
      level: 'info',
      ...subject,
      ...at,
      status: 200,
      reason: null,
      detail: null,
      rule: null,
      duration_ms: 30,
      bytes_out: 512,
    },
    http2_session_closed: { level: 'warn', client: '192.0.2.7', reason: 'resets' },
    tls_handshake: {
      level: 'info',
      listener: '[::]:443',
      client: '192.0.2.7',
      result: 'unknown_name',
      engine: 'node',
      name: 'other.example',
      detail: 'no certificate is for other.example',
    },
    preamble_refused: {
      level: 'warn',
      listener: '[::]:443',
      client: '10.0.0.1',
      reason: 'late',
      detail: 'no whole preamble within 5000 ms',
    },
    upgrade_dropped: { level: 'info', ...subject, upgrade: 'SPDY/3.1' },
    head_refused: {
      level: 'info',
      client: '192.0.2.7',
      protocol: '1.1',
      status: 431,
      reason: 'malformed',
      detail: 'too large',
    },
    upstream_connected: { level: 'debug', ...at, duration_ms: 2 },
    upstream_failed: {
      level: 'warn',
      id: 'req-1',
      ...at,
      reason: 'backend_refused',
      detail: 'connect ECONNREFUSED 127.0.0.1:9001',
    },
    upstream_retry: { level: 'debug', upstream: 'chat', server: 'ws://127.0.0.1:9001', result: 'retried' },
    server_changed: {
      level: 'warn',
      ...at,
      up: false,
      reason: 'ejected',
      detail: '5 failures in a row; out for 10000 ms',
    },
    webhook_delivered: {
      level: 'warn',
      id: 'req-1',
      connection: 'c-1',
      route: 'hooked',
      webhook_event: 'message',
      result: 'failed',
      detail: 'no answer within 10000 ms',
      duration_ms: 30_000,
    },
    api_called: {
      level: 'info',
      operation: 'POST /connections/{id}',
      target: 'req-1',
      status: 410,
      reason: 'gone',
      client: '127.0.0.1',
      duration_ms: 2,
    },
    keys_fetched: {
      level: 'warn',
      url: 'https://login.example.com/jwks',
      result: 'failed',
      detail: 'answered 500',
    },
    ping: { level: 'debug', route: 'chat', result: 'pong' },
    config_reloaded: {
      level: 'error',
      result: 'failure',
      trigger: 'signal',
      problems: ['gateway.yaml:1:1: …'],
      kept: 812,
      draining: 14,
      restart_needed: ['broker'],
      msg: 'kept 812, draining 14 (route chat removed), needs a restart: broker',
    },
    certificate_loaded: {
      level: 'info',
      listener: '[::]:443',
      names: ['a.example', 'b.example'],
      not_after: '2027-01-15T08:00:00.000Z',
    },
    certificate_ordered: {
      level: 'warn',
      names: ['a.example', 'b.example'],
      authority: 'acme.example',
      result: 'failed',
      reason: 'rateLimited',
      detail: 'rateLimited: too many',
      not_after: null,
      retry_in_ms: 60_000,
      duration_ms: 1500,
    },
    drain: { level: 'info', phase: 'started', sessions: 3, requests: 2 },
    internal_error: { level: 'error', where: 'request', id: 'req-1', stack: 'Error: a defect\n    at one.ts:1:1' },
    notice: { level: 'warn', msg: 'out of descriptors', limit: 1024 },
  };

  it.each(Object.entries(cases))('%s', (type, expected) => {
    const { time, ...line } = lineOf(EVENTS[type as GatewayEvent['type']]) ?? {};
    expect(line).toEqual({ event: type, ...expected });
    expect(new Date(time as string).toISOString()).toBe(time);
  });

  it('a request with a trace has its id in each of its lines', () => {
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
    const trace = { traceId, spanId: '00f067aa0ba902b7', flags: 1 };
    for (const type of ['session_opened', 'session_closed', 'handshake_rejected', 'request_completed'] as const)
      expect(lineOf({ ...EVENTS[type], trace })).toMatchObject({ event: type, trace_id: traceId });
  });

  it('and docs/metrics.md names its fields', () => {
    const docs = readFileSync(new URL('../../../docs/metrics.md', import.meta.url), 'utf8');
    const rows = [...docs.slice(docs.indexOf('## Log')).matchAll(/^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|$/gm)];
    const documented = Object.fromEntries(
      rows.map(([, event, , fields]) => [event, [...(fields ?? '').matchAll(/`(\w+)`/g)].map((match) => match[1])]),
    );
    const { log_dropped: dropped, notice, ...others } = documented;
    const { notice: _, ...written } = cases;
    expect([dropped, notice]).toEqual([['dropped'], ['msg']]);
    expect(others).toEqual(
      Object.fromEntries(
        Object.entries(written).map(([event, fields]) => [
          event,
          Object.keys(fields).filter((name) => name !== 'level'),
        ]),
      ),
    );
  });

  it('success is no error, and what is cut is worth a warning', () => {
    const reloaded = lineOf({ ...EVENTS.config_reloaded, result: 'success', problems: [], outcome: null });
    expect(reloaded).toMatchObject({ level: 'info', result: 'success' });
    expect(reloaded).not.toHaveProperty('problems');
    expect(lineOf({ ...EVENTS.drain, phase: 'cut' })).toMatchObject({ level: 'warn', phase: 'cut' });
  });

  it('a TLS handshake that succeeds, or that its client gave up, has none but for the curious', () => {
    for (const result of ['ok', 'resumed', 'closed'] as const)
      expect(lineOf({ ...EVENTS.tls_handshake, result })).toMatchObject({ level: 'debug', result });
  });

  it('where no server was reached none is named', () => {
    const line = lineOf({ ...EVENTS.handshake_failed, at: null });
    expect(line).not.toHaveProperty('server');
    expect(line).not.toHaveProperty('upstream');
  });
});

describe('what is written', () => {
  const written = (settings: LogSettings) => {
    const { log, parsed } = open(settings);
    for (const event of Object.values(EVENTS)) log.emit(event);
    return parsed().map((line) => line['event']);
  };

  it('access: false leaves out requests, sessions and refusals, and keeps warnings and notices', () => {
    expect(written({ level: 'info', access: false, format: 'json' })).toEqual([
      'http2_session_closed',
      'preamble_refused',
      'upstream_failed',
      'server_changed',
      'webhook_delivered',
      'keys_fetched',
      'config_reloaded',
      'certificate_loaded',
      'certificate_ordered',
      'drain',
      'internal_error',
      'notice',
    ]);
  });

  it('the level leaves out what is below it', () => {
    expect(written({ level: 'warn', access: true, format: 'json' })).toEqual([
      'http2_session_closed',
      'preamble_refused',
      'upstream_failed',
      'server_changed',
      'webhook_delivered',
      'keys_fetched',
      'config_reloaded',
      'certificate_ordered',
      'internal_error',
      'notice',
    ]);
    expect(written({ level: 'silent', access: true, format: 'json' })).toEqual([]);
    expect(written({ level: 'info', access: true, format: 'json' })).not.toContain('ping');
  });

  it('a failed handshake is one warning, which its server gives', () => {
    const { log, parsed } = open({ level: 'warn', access: true, format: 'json' });
    log.emit(EVENTS.upstream_failed);
    log.emit(EVENTS.handshake_failed);
    expect(parsed().map(({ event }) => event)).toEqual(['upstream_failed']);
  });

  it('both change while it runs', () => {
    const { log, parsed } = open({ level: 'error', access: false, format: 'json' });
    log.emit(EVENTS.session_opened);
    log.configure({ level: 'info', access: true, format: 'json' });
    log.emit(EVENTS.session_opened);
    log.configure({ level: 'info', access: false, format: 'json' });
    log.emit(EVENTS.session_closed);
    expect(parsed().map((line) => line['event'])).toEqual(['session_opened']);
  });
});

describe('hostile text', () => {
  const path = `/a"b\\c\n{"event":"forged"}\u0000\u001b[31m\u009b2J\u007f\u2028`;

  it('stays in its line and its field, with nothing a terminal obeys', () => {
    const { log, lines } = open();
    log.emit({ ...EVENTS.request_completed, path, host: 'h\r\nx: y', method: 'G\tT' });
    expect(lines).toHaveLength(1);
    const [line = ''] = lines;
    // Control characters are exactly what must not be there.
    // biome-ignore lint/suspicious/noControlCharactersInRegex: see above
    expect(line.slice(0, -1)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/);
    expect(line.endsWith('}\n')).toBe(true);
    expect(JSON.parse(line)).toMatchObject({
      event: 'request_completed',
      path: `/a"b\\c\n{"event":"forged"}\u0000\u001b[31m?2J??`,
      host: 'h\r\nx: y',
      method: 'G\tT',
    });
  });

  it('has a bounded length', () => {
    const { log, lines } = open();
    const long = 'x'.repeat(100_000);
    log.emit({ ...EVENTS.handshake_rejected, path: long, host: long, origin: long, detail: long, method: long });
    expect(lines[0]?.length).toBeLessThan(6000);
  });
});

describe('standard output', () => {
  let url: string;
  beforeAll(async () => {
    [url = ''] = await bundle('src/observe/log.ts');
  });
  const argumentsFor = (body: string) => [
    '--input-type=module',
    '-e',
    `import { createLog } from ${JSON.stringify(url)};
     const log = createLog({ level: 'info', access: true, format: 'json' });
     const notice = (n) => log.emit({ type: 'notice', level: 'info', message: 'm', data: { n } });
     ${body}`,
  ];
  const run = (body: string) => spawnSync(process.execPath, argumentsFor(body), { encoding: 'utf8' });
  const start = (body: string, fd?: number) =>
    spawn(process.execPath, argumentsFor(body), { stdio: ['pipe', fd ?? 'pipe', 'pipe'] });
  const numbers = (text: string) => text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line).n]));

  it('gets every line, in order, though the process exits right behind them', () => {
    const { stdout, status } = run('for (let n = 0; n < 2000; n++) notice(n); process.exit(3);');
    expect(status).toBe(3);
    expect(numbers(stdout)).toEqual(Array.from({ length: 2000 }, (_, n) => n));
  });

  it('gets them at flush(), each once', () => {
    const { stdout } = run(
      'notice(1); await log.flush(); notice(2); notice(3); await log.flush(); process.kill(process.pid, "SIGKILL");',
    );
    expect(numbers(stdout)).toEqual([1, 2, 3]);
  });

  it('gets them when the process ends by an error nobody catches', () => {
    const { stdout, status } = run('for (let n = 0; n < 100; n++) notice(n); throw new Error("boom");');
    expect(status).toBe(1);
    expect(numbers(stdout)).toEqual(Array.from({ length: 100 }, (_, n) => n));
  });

  it.each([
    ['a full disk', '/dev/full'],
    ['a closed pipe', undefined],
  ])('%s costs lines and does not hold the process up', (_, path) => {
    const fd = path === undefined ? undefined : openSync(path, 'w');
    const child = start('for (let n = 0; n < 1000; n++) notice(n); await log.flush(); notice(1); process.exit(3);', fd);
    child.stdout?.destroy();
    if (fd !== undefined) closeSync(fd);
    return expect(once(child, 'exit')).resolves.toEqual([3, null]);
  });

  it('a reader that does not read gets the first lines and is told how many are missing; the process goes on', async () => {
    const child = start(`
      const message = 'x'.repeat(1000);
      for (let n = 0; n < 40_000; n++) log.emit({ type: 'notice', level: 'info', message, data: { n } });
      process.stderr.write('filled');
      process.stdin.once('data', () => process.exit(0));`);
    await once(child.stderr ?? child, 'data');
    const chunks: Buffer[] = [];
    const told = new Promise<void>((resolve) => {
      child.stdout?.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        if (Buffer.concat(chunks.slice(-2)).includes('log_dropped')) resolve();
      });
    });
    await told;
    child.stdin?.end('done');
    await once(child, 'close');
    const lines = Buffer.concat(chunks).toString().trim().split('\n');
    const last = JSON.parse(lines.at(-1) ?? '') as { event: string; dropped: number };
    expect(last.event).toBe('log_dropped');
    expect(last.dropped).toBe(40_000 - (lines.length - 1));
    expect(last.dropped).toBeGreaterThan(20_000);
  });

  it('a reader that never reads does not keep the process from its exit', async () => {
    const child = start(`
      const message = 'x'.repeat(1000);
      for (let n = 0; n < 1000; n++) log.emit({ type: 'notice', level: 'info', message, data: { n } });
      await log.flush();
      process.exit(3);`);
    expect(await once(child, 'exit')).toEqual([3, null]);
    child.stdout?.destroy();
  });
});
