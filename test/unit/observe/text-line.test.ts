// The log as a person reads it: short lines, and nothing in them that a terminal obeys.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { GatewayEvent } from '../../../src/events.ts';
import { createLog, type LogFormat, type LogOptions } from '../../../src/observe/log.ts';
import { EVENTS } from './every-event.ts';

function open(options: Partial<LogOptions> = {}) {
  const lines: string[] = [];
  const log = createLog({
    level: 'trace',
    access: true,
    format: 'text',
    terminal: false,
    env: {},
    ...options,
    destination: { write: (line) => void lines.push(line), flush: async () => {} },
  });
  return { log, lines };
}

/** The line of an event behind its time. */
function textOf(event: GatewayEvent): string {
  const { log, lines } = open();
  log.emit(event);
  return lines.join('').replace(/^\S+ /, '').trimEnd();
}

describe('each event has its line', () => {
  const cases: { readonly [T in GatewayEvent['type']]: string } = {
    session_opened:
      'info  session opened app.example.com/ws/room subprotocol=chat.v2 route=chat user=ada client=192.0.2.7',
    session_closed:
      'info  session closed 1000 app.example.com/ws/room 1m30s closed_by=client reason=closed route=chat user=ada client=192.0.2.7 messages_in=1 messages_out=2',
    handshake_rejected:
      'info  handshake rejected 403 origin app.example.com/ws/room detail="not in the list" rule=routes.chat.websocket.origins origin=https://evil.example route=chat user=ada client=192.0.2.7',
    handshake_failed:
      'info  handshake failed 502 backend_refused app.example.com/ws/room detail=ECONNREFUSED rule=upstreams.chat.servers route=chat user=ada client=192.0.2.7',
    handshake_passed:
      'info  handshake passed 403 app.example.com/ws/room server=ws://127.0.0.1:9001 route=chat user=ada client=192.0.2.7',
    request_completed: 'info  request 200 GET app.example.com/ws/room 30ms route=chat user=ada client=192.0.2.7',
    upgrade_dropped:
      'info  upgrade dropped id=req-1 route=chat client=192.0.2.7 method=GET host=app.example.com path=/ws/room protocol=1.1 user=ada upgrade=SPDY/3.1',
    head_refused: 'info  head refused client=192.0.2.7 protocol=1.1 status=431 reason=malformed detail="too large"',
    http2_session_closed: 'warn  http2 session closed client=192.0.2.7 reason=resets',
    tls_handshake:
      'info  tls handshake listener=[::]:443 client=192.0.2.7 result=unknown_name engine=node name=other.example detail="no certificate is for other.example"',
    preamble_refused:
      'warn  preamble refused listener=[::]:443 client=10.0.0.1 reason=late detail="no whole preamble within 5000 ms"',
    upstream_connected: 'debug upstream connected upstream=chat server=ws://127.0.0.1:9001 duration=2ms',
    upstream_failed:
      'warn  upstream failed id=req-1 upstream=chat server=ws://127.0.0.1:9001 reason=backend_refused detail="connect ECONNREFUSED 127.0.0.1:9001"',
    upstream_retry: 'debug upstream retry upstream=chat server=ws://127.0.0.1:9001 result=retried',
    server_changed:
      'warn  server changed upstream=chat server=ws://127.0.0.1:9001 up=false reason=ejected detail="5 failures in a row; out for 10000 ms"',
    webhook_delivered:
      'warn  webhook delivered id=req-1 connection=c-1 route=hooked webhook_event=message result=failed detail="no answer within 10000 ms" duration=30.0s',
    api_called:
      'info  api called operation="POST /connections/{id}" target=req-1 status=410 reason=gone client=127.0.0.1 duration=2ms',
    keys_fetched: 'warn  keys fetched url=https://login.example.com/jwks result=failed detail="answered 500"',
    certificate_ordered:
      'warn  certificate ordered names=a.example,b.example authority=acme.example result=failed reason=rateLimited detail="rateLimited: too many" retry_in=1m0s duration=1.5s',
    ping: 'debug ping route=chat result=pong',
    config_reloaded: [
      'error config not reloaded: kept 812, draining 14 (route chat removed), needs a restart: broker trigger=signal',
      '    gateway.yaml:1:1: \u2026',
    ].join('\n'),
    certificate_loaded:
      'info  certificate loaded listener=[::]:443 names=a.example,b.example not_after=2027-01-15T08:00:00.000Z',
    drain: 'info  drain phase=started sessions=3 requests=2',
    internal_error: [
      'error internal error where=request id=req-1',
      '    Error: a defect',
      '        at one.ts:1:1',
    ].join('\n'),
    notice: 'warn  out of descriptors limit=1024',
  };

  it.each(Object.entries(cases))('%s', (type, expected) => {
    expect(textOf(EVENTS[type as GatewayEvent['type']])).toBe(expected);
  });

  it('and times as long as they are', () => {
    const lasted = (durationMs: number) =>
      / ([0-9.a-z]+) closed_by/.exec(textOf({ ...EVENTS.session_closed, durationMs }))?.[1];
    expect([9.53, 30.49, 999, 1000, 59_949, 60_000, 3_599_999, 90_000_000].map(lasted)).toEqual([
      '9.53ms',
      '30ms',
      '999ms',
      '1.0s',
      '59.9s',
      '1m0s',
      '59m59s',
      '25h0m',
    ]);
  });

  it('what is not known leaves no gap', () => {
    expect(textOf({ ...EVENTS.session_closed, code: null, user: null })).toMatch(
      /^info {2}session closed app\.example\.com\/ws\/room 1m30s closed_by=client reason=closed route=chat client=/,
    );
  });
});

describe('log.format', () => {
  const first = (options: Partial<LogOptions>) => {
    const { log, lines } = open(options);
    log.emit(EVENTS.notice);
    return lines[0] ?? '';
  };

  it.each<[LogFormat, boolean, boolean]>([
    ['auto', true, true],
    ['auto', false, false],
    ['text', false, true],
    ['json', true, false],
  ])('%s, on a terminal: %s, is text: %s', (format, terminal, text) => {
    expect(first({ format, terminal }).startsWith('{')).toBe(!text);
  });

  it('changes with the next line', () => {
    const { log, lines } = open();
    for (const format of ['json', 'text'] as const) {
      log.configure({ level: 'info', access: true, format });
      log.emit(EVENTS.notice);
    }
    expect(lines.map((line) => line.startsWith('{'))).toEqual([true, false]);
  });

  it('has date and time in a file, and the time of day on a terminal', () => {
    expect(first({ terminal: false })).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z warn {2}out of descriptors/);
    expect(first({ terminal: true, env: { NO_COLOR: '1' } })).toMatch(/^\d\d:\d\d:\d\d warn {2}out of descriptors/);
  });

  it('has colours on a terminal that shows them, unless NO_COLOR is set', () => {
    const coloured = (terminal: boolean, env: LogOptions['env']) =>
      first({ terminal, ...(env === undefined ? {} : { env }) }).includes('\u001b[33mwarn \u001b[0m');
    expect(coloured(true, { TERM: 'xterm' })).toBe(true);
    expect(coloured(true, { NO_COLOR: '' })).toBe(true);
    expect(coloured(true, { NO_COLOR: '1' })).toBe(false);
    expect(coloured(true, { TERM: 'dumb' })).toBe(false);
    expect(coloured(false, { TERM: 'xterm' })).toBe(false);
  });

  it('says by its colour how a request went', () => {
    const { log, lines } = open({ terminal: true });
    for (const status of [200, 404, 502]) log.emit({ ...EVENTS.request_completed, status });
    for (const code of [1000, 1005, 1011]) log.emit({ ...EVENTS.session_closed, code });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the sequence of a colour
    const colours = lines.map((line) => /\u001b\[(\d+)m\d+\u001b\[0m/.exec(line.slice(line.indexOf('info')))?.[1]);
    expect(colours).toEqual(['32', '33', '31', '32', '32', '33']);
  });
});

describe('hostile text', () => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly what must not be there
  const OBEYED = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]/;

  it('is written so that a terminal does nothing but show it', () => {
    const path = '/a\u001b]0;title\u0007\r\n12:00:00 info  forged \u202e\u009b2J';
    const [line = ''] = textOf({ ...EVENTS.request_completed, path }).split('\n');
    expect(line).not.toMatch(OBEYED);
    expect(line).toContain('"app.example.com/a\\u001b]0;title\\u0007\\r\\n12:00:00 info  forged \\u202e?2J"');
  });

  it('begins no line of its own from a stack or a problem', () => {
    const stack = 'Error: x\n12:00:00 info  forged\u001b[2J\r\u0085\n    at one.ts:1:1';
    const lines = textOf({ ...EVENTS.internal_error, stack })
      .split('\n')
      .slice(1);
    for (const line of lines) {
      expect(line).toMatch(/^ {4}/);
      expect(line).not.toMatch(OBEYED);
    }
  });

  it('stays in one line whatever it is, in every field', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        const { log, lines } = open();
        log.emit({
          ...EVENTS.handshake_rejected,
          path: text,
          host: text,
          origin: text,
          detail: text,
          method: text,
          user: text,
        });
        log.emit({ ...EVENTS.notice, message: text, data: { text } });
        for (const line of lines) {
          expect(line.endsWith('\n')).toBe(true);
          expect(line.slice(0, -1)).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u);
        }
        expect(lines).toHaveLength(2);
      }),
    );
  });
});
