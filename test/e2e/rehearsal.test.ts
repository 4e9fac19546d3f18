// The warm-up before the listeners are bound: it goes the way of real requests, and nothing of it is seen afterwards.
import { describe, expect, it } from 'vitest';
import { schema } from '../../src/config/schema.ts';
import type { GatewayEvent } from '../../src/events.ts';
import { rehearse } from '../../src/server/rehearsal.ts';
import { startGateway } from '../support/gateway.ts';

const upstreams = { rest: { servers: ['http://127.0.0.1:1'] } };
const plain = [{ name: 'api', http: { upstream: 'rest' } }];

function configOf(change: object) {
  return schema.parse({ listeners: [{ port: 0 }], upstreams, routes: plain, ...change });
}

async function eventsOf(change: object): Promise<GatewayEvent[]> {
  const events: GatewayEvent[] = [];
  await rehearse(configOf(change), (event) => events.push(event));
  return events;
}

describe('a rehearsal', () => {
  it.each(['undici', 'http-proxy'])('sends requests through a gateway to a backend, by %s', async (engine) => {
    const events = await eventsOf({ http: { engine, warm_up: '50ms' } });
    const completed = events.flatMap((event) => (event.type === 'request_completed' ? [event] : []));
    expect(completed.length).toBeGreaterThan(0);
    expect(new Set(completed.map(({ status, route }) => `${status} ${route}`))).toEqual(new Set(['200 rehearsal']));
  });

  it('is none where the config says so, or nothing is forwarded', async () => {
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
    routes: [{ name: 'api', http: { upstream: 'rest' } }],
  });
  const { text } = await gateway.admin('/metrics');
  expect(text).not.toContain('rehearsal');
  expect(gateway.output()).not.toContain('rehearsal');
  expect(text).toContain('gateway_http_requests_in_flight 0');
  expect(await gateway.stop()).toBe(0);
});
