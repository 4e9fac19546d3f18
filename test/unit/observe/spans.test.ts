// Spans by the real @opentelemetry/api, with a tracer provider as an SDK registers one.
import { type SpanContext, type SpanOptions, type SpanStatus, type TimeInput, trace } from '@opentelemetry/api';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { GatewayEvent } from '../../../src/events.ts';
import { Spans } from '../../../src/observe/spans.ts';
import { EVENTS } from './every-event.ts';

interface Made {
  readonly name: string;
  readonly options: SpanOptions;
  readonly parent: SpanContext | undefined;
  status?: SpanStatus;
  end?: TimeInput | undefined;
}

const NOW = 1_800_000_000_000;
let made: Made[];

beforeEach(() => {
  vi.useFakeTimers({ now: NOW });
  made = [];
  register();
});
afterEach(() => {
  trace.disable();
  vi.useRealTimers();
});

function register(): void {
  trace.setGlobalTracerProvider({
    getTracer: (tracer, version) => {
      expect([tracer, version]).toEqual(['upgate', '1.2.3']);
      return {
        startSpan: (name, options = {}, context) => {
          const span: Made = { name, options, parent: context && trace.getSpanContext(context) };
          made.push(span);
          const whole = trace.wrapSpanContext({ traceId: '0'.repeat(32), spanId: '0'.repeat(16), traceFlags: 0 });
          whole.setStatus = (status) => {
            span.status = status;
            return whole;
          };
          whole.end = (end) => {
            span.end = end;
          };
          return whole;
        },
        startActiveSpan: () => {
          throw new Error('no span is active here');
        },
      };
    },
  });
}

async function spansOf(...events: readonly GatewayEvent[]): Promise<readonly Made[]> {
  const spans = new Spans();
  await spans.open('1.2.3');
  for (const event of events) spans.emit(event);
  return made;
}

describe('the span of', () => {
  it('a request has its time, its server, and is a child of what the client names', async () => {
    const parent = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7', flags: 1 };
    const [span] = await spansOf({ ...EVENTS.request_completed, trace: parent });
    const { durationMs, at } = EVENTS.request_completed;
    expect(span).toMatchObject({ name: 'GET chat', options: { kind: 1, startTime: NOW - durationMs }, end: NOW });
    expect(span?.options.attributes).toMatchObject({
      ...{ 'http.request.method': 'GET', 'http.response.status_code': 200, 'http.route': 'chat' },
      'upgate.server': at?.server,
    });
    expect(span?.parent).toEqual({ traceId: parent.traceId, spanId: parent.spanId, traceFlags: 1, isRemote: true });
    expect(span?.status).toBeUndefined();
  });

  it('a request that fails is an error; without a traceparent it begins a trace', async () => {
    const [span] = await spansOf({ ...EVENTS.request_completed, status: 504, reason: 'backend_timeout', route: null });
    expect(span).toMatchObject({ name: 'GET no route', parent: undefined });
    expect(span?.status).toEqual({ code: 2, message: 'backend_timeout' });
    expect(span?.options.attributes).not.toHaveProperty('http.route');
  });

  it('a handshake and a session are two, a refusal is no error, and what was cut is one', async () => {
    const cut = { ...EVENTS.session_closed, cut: true, reason: 'drain', code: 1001 };
    const spans = await spansOf(EVENTS.session_opened, EVENTS.handshake_rejected, cut);
    expect(spans.map(({ name, status }) => [name, status?.message])).toEqual([
      ['WebSocket handshake chat', undefined],
      ['WebSocket handshake chat', undefined],
      ['WebSocket session chat', 'drain'],
    ]);
    expect(spans[0]?.options.attributes).toMatchObject({ 'http.response.status_code': 101 });
    expect(spans[2]?.options).toMatchObject({
      startTime: NOW - cut.durationMs,
      attributes: { 'upgate.close_code': 1001, 'upgate.bytes_in': cut.fromClient.bytes },
    });
  });
});

it('there is none of other events, and none at all without the package', async () => {
  expect(await spansOf(EVENTS.notice, EVENTS.upstream_failed)).toEqual([]);
  const spans = new Spans();
  await spans.open('1.2.3', () => Promise.reject(new Error('Cannot find package')));
  spans.emit(EVENTS.request_completed);
  expect(made).toEqual([]);
});

it('is made as soon as a provider is registered, which may be after the start', async () => {
  trace.disable();
  const spans = new Spans();
  await spans.open('1.2.3');
  spans.emit(EVENTS.request_completed);
  register();
  expect(made).toEqual([]);
  spans.emit(EVENTS.request_completed);
  expect(made.map(({ name }) => name)).toEqual(['GET chat']);
});
