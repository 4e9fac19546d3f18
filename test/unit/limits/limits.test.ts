// The limits of a config: which there are for a route, and what goes on in the next config.
import { describe, expect, it } from 'vitest';
import { schema } from '../../../src/config/schema/schema.ts';
import { Limits } from '../../../src/limits/limits.ts';

const configOf = (limits: object, ...routes: object[]) =>
  schema.parse({
    listeners: [{ port: 0 }],
    limits,
    routes: routes.map((route, i) => ({ name: `r${i}`, ...route })),
  });
const echo = (limits: object = {}) => ({ websocket: { mode: 'terminate', handler: 'echo', limits } });
const rest = (limits: object = {}) => ({ http: { upstream: 'rest', limits } });
const idsOf = (limits: { rates: readonly { id: string }[] } | null) => limits?.rates.map(({ id }) => id);

describe('of a route', () => {
  it('are its own and the gateway’s, those of one client first', () => {
    const all = {
      handshakes_per_second: 1,
      handshakes_per_second_per_ip: 1,
      requests_per_second: 1,
      requests_per_second_per_ip: 1,
    };
    const { handshakes_per_second, handshakes_per_second_per_ip, ...requests } = all;
    const own = { handshakes_per_second, handshakes_per_second_per_ip };
    const limits = new Limits(configOf(all, { ...echo(own), ...rest(requests) }), null);
    expect(idsOf(limits.handshakes('r0'))).toEqual([
      'r0 handshakes_per_second_per_ip',
      'handshakes_per_second_per_ip',
      'r0 handshakes_per_second',
      'handshakes_per_second',
    ]);
    expect(idsOf(limits.requests('r0'))).toEqual([
      'r0 requests_per_second_per_ip',
      'requests_per_second_per_ip',
      'r0 requests_per_second',
      'requests_per_second',
    ]);
  });

  it('are none where none are set, and none of a route that is not there', () => {
    const limits = new Limits(configOf({ handshakes_per_second: 1 }, { ...echo(), ...rest() }), null);
    expect(limits.requests('r0')).toBeNull();
    expect(limits.handshakes('other').rates).toEqual([]);
  });

  it('share the gateway’s', () => {
    const limits = new Limits(configOf({ handshakes_per_second: 1 }, echo(), echo()), null);
    expect(limits.handshakes('r0').rates[0]).toBe(limits.handshakes('r1').rates[0]);
  });

  it('go by the claim that is named', () => {
    const own = { claim: 'sub', requests_per_second_per_claim: 1 };
    expect(new Limits(configOf({}, rest(own)), null).requests('r0')).toMatchObject({
      claim: 'sub',
      claimRates: [{ id: 'r0 requests_per_second_per_claim', perClient: true }],
    });
  });
});

describe('in the next config', () => {
  it('those that are the same go on; another rate, or another burst, begins anew', () => {
    const before = new Limits(
      configOf({ handshakes_per_second: 5 }, echo({ handshakes_per_second: 5 }), echo({ handshakes_per_second: 5 })),
      null,
    );
    const after = new Limits(
      configOf(
        { handshakes_per_second: { rate: 5, burst: 9 } },
        echo({ handshakes_per_second: 5 }),
        echo({ handshakes_per_second: 6 }),
      ),
      before,
    );
    const kept = ['r0 handshakes_per_second', 'r1 handshakes_per_second', 'handshakes_per_second'].map(
      (id) => before.limiterOf(id) === after.limiterOf(id),
    );
    expect(kept).toEqual([true, false, false]);
  });
});

it('says how many clients each limit of one client knows', () => {
  const limits = new Limits(configOf({ handshakes_per_second: 1, handshakes_per_second_per_ip: 0.001 }, echo()), null);
  const now = performance.now();
  for (const address of ['a', 'b']) limits.limiterOf('handshakes_per_second_per_ip')?.take(address, now);
  expect([...limits.sample()]).toEqual([
    { metric: 'limit_clients', labels: { limit: 'handshakes_per_second_per_ip' }, value: 2 },
  ]);
});
