// The warm-up before the listeners are bound: it goes the way of real requests, and nothing of it is seen afterwards.
import { describe, expect, it } from 'vitest';
import { createSplice } from '../../src/actions/splice.ts';
import { schema } from '../../src/config/schema.ts';
import type { GatewayEvent } from '../../src/events.ts';
import { openRelay } from '../../src/relay/auto.ts';
import { rehearse } from '../../src/server/rehearsal.ts';
import { Throttle } from '../../src/sessions/throttle.ts';
import { startGateway } from '../support/gateway.ts';

const upstreams = { rest: { servers: ['http://127.0.0.1:1'] } };
const plain = [{ name: 'api', http: { upstream: 'rest' } }];

function configOf(change: object) {
  return schema.parse({ listeners: [{ port: 0 }], upstreams, routes: plain, ...change });
}

/** The thread needs the compiled program. */
const peers = new URL('../../dist/server/rehearsal-peers.js', import.meta.url);

interface Watched {
  readonly onEvent?: (event: GatewayEvent) => void;
  readonly wait?: (ms: number) => Promise<unknown>;
}

async function eventsOf(change: object, { onEvent, wait }: Watched = {}): Promise<GatewayEvent[]> {
  const events: GatewayEvent[] = [];
  const emit = (event: GatewayEvent) => {
    events.push(event);
    onEvent?.(event);
  };
  const open = () => {
    const { relay } = openRelay('auto', 1);
    const { accepting } = relay;
    return { emit, throttle: new Throttle(), splice: createSplice(relay), accepting, close: () => relay.stop() };
  };
  await rehearse(configOf(change), { open, peers, ...(wait === undefined ? {} : { wait }) });
  return events;
}

describe('a rehearsal', () => {
  it.each(['auto', 'http-proxy'])('sends requests through a gateway to a backend, by %s', async (engine) => {
    const events = await eventsOf({ http: { engine, warm_up: '50ms' } });
    const completed = events.flatMap((event) => (event.type === 'request_completed' ? [event] : []));
    expect(completed.length).toBeGreaterThan(0);
    expect(new Set(completed.map(({ status, route }) => `${status} ${route}`))).toEqual(new Set(['200 rehearsal']));
  });

  it('opens sessions through a gateway to a backend where sessions are spliced', async () => {
    const routes = [{ name: 'chat', websocket: { mode: 'splice', upstream: 'rest' } }];
    const events = await eventsOf({ routes, http: { warm_up: '50ms' } });
    const opened = events.flatMap((event) => (event.type === 'session_opened' ? [event] : []));
    expect(opened.length).toBeGreaterThan(0);
    expect(new Set(opened.map(({ route, mode }) => `${route} ${mode}`))).toEqual(new Set(['rehearsal splice']));
    expect(events.filter(({ type }) => type === 'request_completed' || type === 'handshake_failed')).toEqual([]);
  });

  it('carries messages over TLS where a listener speaks it, and opens no other sessions then', async () => {
    const routes = [{ name: 'chat', websocket: { mode: 'splice', upstream: 'rest' } }];
    const listeners = [{ port: 0, tls: { self_signed: ['localhost'] } }];
    // However slow the machine is, a part's time is up once a session has carried messages, and not before.
    let carried = () => {};
    const wait = () => new Promise<void>((resolve) => (carried = resolve));
    const talked = (event: GatewayEvent) => event.type === 'session_closed' && (event.fromClient.messages ?? 0) > 1;
    const onEvent = (event: GatewayEvent) => {
      if (talked(event)) carried();
    };
    const events = await eventsOf({ listeners, routes }, { onEvent, wait });
    expect(events.filter(talked).length).toBeGreaterThan(0);
    expect(events.filter(({ type }) => type === 'request_completed' || type === 'handshake_failed')).toEqual([]);
  });

  it('is none where the config says so, or nothing is forwarded or spliced', async () => {
    expect(await eventsOf({ http: { warm_up: '0s' } })).toEqual([]);
    const routes = [{ name: 'own', respond: {} }];
    expect(await eventsOf({ routes, upstreams: {} })).toEqual([]);
  });
});

it('leaves nothing behind that can be seen', async () => {
  const gateway = await startGateway({
    listeners: [{ host: '127.0.0.1', port: 0 }],
    http: { warm_up: '50ms' },
    upstreams,
    routes: [{ name: 'api', http: { upstream: 'rest' }, websocket: { mode: 'splice', upstream: 'rest' } }],
  });
  const { text } = await gateway.admin('/metrics');
  expect(text).not.toContain('rehearsal');
  expect(gateway.output()).not.toContain('rehearsal');
  expect(text).toContain('gateway_http_requests_in_flight 0');
  expect(await gateway.stop()).toBe(0);
});
