// Permits: as many as the route and the client may hold, taken in two steps, each given back once.
import { describe, expect, it, vi } from 'vitest';
import { isRejection, type Rejection } from '../../../src/handshake/rejection.ts';
import { Admission } from '../../../src/limits/admission.ts';
import { createLimiter } from '../../../src/limits/limiter.ts';
import type { Quota, RouteLimits } from '../../../src/limits/limits.ts';
import type { Permit } from '../../../src/limits/permit.ts';
import { Ramp } from '../../../src/limits/ramp.ts';
import type { SharedRates } from '../../../src/limits/rates.ts';

const NONE: RouteLimits = { rates: [], claim: null, claimRates: [], room: {}, gatewayRoom: {} };
const free: Quota = {};
const visitOf = (room: Quota, client: string, route: string) => ({ route, client, limits: { ...NONE, room } });

const makeAdmission = ({ ramp = new Ramp(), shared = null as SharedRates | null } = {}) =>
  new Admission({ ramp, shared: () => shared });

/** What is there without waiting. */
function now<T>(soon: T | Promise<T>): T {
  if (soon instanceof Promise) throw new Error('it waits');
  return soon;
}

/** Both steps: the permit, or the reason there is none; what a refused visit held is given back. */
function enter(admission: Admission, limits: Quota, client = '192.0.2.1', route = 'chat'): Permit | string {
  const visit = visitOf(limits, client, route);
  const permit = now(admission.admitAddress(visit));
  if (isRejection(permit)) return permit.reason;
  const refused = now(admission.admitIdentity(visit, permit, null));
  if (refused === null) return permit;
  permit.release();
  return refused.reason;
}

/** A permit that there must be. */
function permit(...args: Parameters<typeof enter>): Permit {
  const entered = enter(...args);
  if (typeof entered === 'string') throw new Error(entered);
  return entered;
}

describe('without limits', () => {
  it('there is always a permit', () => {
    const admission = makeAdmission();
    for (let i = 0; i < 1000; i++) permit(admission, free);
  });
});

describe('a limit', () => {
  it.each<[string, Quota, 'limit' | 'client_limit']>([
    ['of the route', { connections: 2 }, 'limit'],
    ['of the client', { connections_per_ip: 2 }, 'client_limit'],
    ['of the client first, where both are reached', { connections: 2, connections_per_ip: 2 }, 'client_limit'],
  ])('%s holds until one is given back', (_, limits, reason) => {
    const admission = makeAdmission();
    const [first] = [permit(admission, limits), permit(admission, limits)];
    expect(enter(admission, limits)).toBe(reason);
    first!.release();
    permit(admission, limits);
    expect(enter(admission, limits)).toBe(reason);
  });

  it('gives nothing more where a permit is given back twice', () => {
    const admission = makeAdmission();
    const limits = { connections: 2, connections_per_ip: 2 };
    const [first] = [permit(admission, limits), permit(admission, limits)];
    first!.release();
    first!.release();
    permit(admission, limits);
    expect(enter(admission, limits)).toBe('client_limit');
    expect(enter(admission, { connections: 2 })).toBe('limit');
  });

  it('is each route’s own, and each client’s', () => {
    const admission = makeAdmission();
    const limits = { connections: 2, connections_per_ip: 1 };
    permit(admission, limits);
    permit(admission, limits, '192.0.2.2');
    expect(enter(admission, limits, '192.0.2.3')).toBe('limit');
    permit(admission, limits, '192.0.2.1', 'other');
    expect(enter(admission, limits, '192.0.2.1', 'other')).toBe('client_limit');
  });

  it('of a client that was refused takes nothing from the route', () => {
    const admission = makeAdmission();
    const limits = { connections: 2, connections_per_ip: 1 };
    permit(admission, limits);
    for (let i = 0; i < 5; i++) expect(enter(admission, limits)).toBe('client_limit');
    permit(admission, limits, '192.0.2.2');
  });

  it('of the client counts those whose credentials are still looked at; the route’s does not', () => {
    const admission = makeAdmission();
    const limits = { connections: 1, connections_per_ip: 1 };
    const visit = visitOf(limits, '192.0.2.1', 'chat');
    const waiting = admission.admitAddress(visit) as Permit;
    expect(admission.admitAddress(visit)).toMatchObject({ reason: 'client_limit' });
    const other = permit(admission, limits, '192.0.2.2');
    expect(admission.admitIdentity(visit, waiting, null)).toMatchObject({ reason: 'limit' });
    waiting.release();
    other.release();
    expect(isRejection(admission.admitAddress(visit))).toBe(false);
  });

  it('that a reload brings counts what is live already', () => {
    const admission = makeAdmission();
    const permits = [permit(admission, free), permit(admission, free)];
    const limits = { connections: 2 };
    expect(enter(admission, limits, '192.0.2.9')).toBe('limit');
    for (const each of permits) each.release();
    permit(admission, limits);
  });
});

describe('clients', () => {
  it('of one IPv6 network are one, and so is an IPv4 address however it is written', () => {
    const admission = makeAdmission();
    const limits = { connections_per_ip: 1 };
    permit(admission, limits, '2001:db8:1:2::1');
    permit(admission, limits, '2001:db8:1:3::1');
    expect(enter(admission, limits, '2001:db8:1:2:ffff::9')).toBe('client_limit');
    permit(admission, limits, '192.0.2.1');
    expect(enter(admission, limits, '::ffff:c000:201')).toBe('client_limit');
  });

  it('are told apart by their claim, whatever their address', () => {
    const admission = makeAdmission();
    const limits = { ...NONE, claim: 'sub', room: { connections_per_claim: 1 } };
    const as = (claims: Record<string, unknown> | null, client: string) => {
      const visit = { route: 'chat', client, limits };
      const held = now(admission.admitAddress(visit)) as Permit;
      const principal = claims === null ? null : { subject: null, claims, expiresAt: null, fields: [] };
      const refused = now(admission.admitIdentity(visit, held, principal));
      if (refused !== null) held.release();
      return refused?.reason ?? held;
    };
    const ada = as({ sub: 'ada' }, '192.0.2.1') as Permit;
    expect(as({ sub: 'ada' }, '192.0.2.2')).toBe('client_limit');
    expect(as({ sub: 'bob' }, '192.0.2.1')).not.toBe('client_limit');
    ada.release();
    expect(as({ sub: 'ada' }, '192.0.2.2')).not.toBe('client_limit');
    // Without the claim all are one.
    expect(as({}, '192.0.2.3')).not.toBe('client_limit');
    expect(as({ sub: null }, '192.0.2.4')).toBe('client_limit');
    // Who was not asked who it is has none.
    for (const last of [5, 6]) expect(as(null, `192.0.2.${last}`)).not.toBe('client_limit');
    expect(as({ sub: ['x'] }, '192.0.2.3')).not.toBe('client_limit');
  });
});

describe('the gateway’s own room', () => {
  it.each<[string, Quota, string]>([
    ['of all', { connections: 2 }, 'limit'],
    ['of an address', { connections_per_ip: 2 }, 'client_limit'],
  ])('%s is over all routes', (_, gatewayRoom, reason) => {
    const admission = makeAdmission();
    const limits = { ...NONE, gatewayRoom };
    const arrive = (route: string) => {
      const visit = { route, client: '192.0.2.1', limits };
      const held = now(admission.admitAddress(visit));
      if (isRejection(held)) return held.reason;
      expect(admission.admitIdentity(visit, held, null)).toBeNull();
      return held;
    };
    const first = arrive('a') as Permit;
    arrive('b');
    expect(arrive('c')).toBe(reason);
    first.release();
    expect(arrive('c')).not.toBe(reason);
    expect(arrive('a')).toBe(reason);
  });
});

describe('rates', () => {
  const perClient = () => createLimiter('chat per client', { rate: 0.1, burst: 2 }, 'client');
  const ofAll = () => createLimiter('all', { rate: 0.1, burst: 3 }, 'all');
  const visit = (limits: Partial<RouteLimits>, client = '192.0.2.1') => ({
    route: 'chat',
    client,
    limits: { ...NONE, ...limits },
  });
  const reasonOf = (admitted: Permit | Rejection | null) =>
    admitted !== null && isRejection(admitted) ? admitted.reason : null;

  it('refuse with the time after which there is a token', () => {
    const admission = makeAdmission();
    const limits = { rates: [perClient()] };
    for (let i = 0; i < 2; i++) expect(reasonOf(now(admission.admitAddress(visit(limits))))).toBeNull();
    for (let i = 0; i < 50; i++) {
      const refused = now(admission.admitAddress(visit(limits))) as Rejection;
      expect(refused).toMatchObject({ reason: 'rate', status: 429, fields: ['Retry-After', expect.any(String)] });
      const seconds = Number(refused.fields[1]);
      expect(seconds).toBeGreaterThanOrEqual(10);
      expect(seconds).toBeLessThanOrEqual(13);
    }
    expect(reasonOf(now(admission.admitAddress(visit(limits, '192.0.2.2'))))).toBeNull();
  });

  it('take nothing of one another where one of them refuses, and hold nothing', () => {
    const admission = makeAdmission();
    const limits = { rates: [perClient(), ofAll()], room: { connections_per_ip: 9 } };
    const outcomes = Array.from({ length: 8 }, () => reasonOf(now(admission.admitAddress(visit(limits)))));
    expect(outcomes).toEqual([null, null, ...Array(6).fill('rate')]);
    // The third token of all is still there, and then it is used up.
    expect(reasonOf(now(admission.admitAddress(visit(limits, '192.0.2.2'))))).toBeNull();
    expect(reasonOf(now(admission.admitAddress(visit(limits, '192.0.2.2'))))).toBe('rate');
    expect(reasonOf(now(admission.admitAddress(visit({ room: { connections_per_ip: 3 } }))))).toBeNull();
  });

  it('are not used up by those who find no room', () => {
    const admission = makeAdmission();
    const limits = { rates: [ofAll()], room: { connections: 1 } };
    const first = now(admission.admitAddress(visit(limits))) as Permit;
    expect(admission.admitIdentity(visit(limits), first, null)).toBeNull();
    for (let i = 0; i < 9; i++) expect(reasonOf(now(admission.admitAddress(visit(limits))))).toBe('limit');
    first.release();
    for (let i = 0; i < 2; i++) expect(reasonOf(now(admission.admitAddress(visit(limits))))).toBeNull();
    expect(reasonOf(now(admission.admitAddress(visit(limits))))).toBe('rate');
  });

  it('of a claim are asked once it is known, for handshakes and for plain requests', () => {
    const admission = makeAdmission();
    const limits = { claim: 'sub', claimRates: [perClient()] };
    const ada = { subject: 'ada', claims: { sub: 'ada' }, expiresAt: null, fields: [] };
    const ask = (client: string) => reasonOf(now(admission.requestOf(visit(limits, client), ada)));
    expect(['1', '2', '3'].map((last) => ask(`192.0.2.${last}`))).toEqual([null, null, 'rate']);
    const held = now(admission.admitAddress(visit(limits))) as Permit;
    expect(reasonOf(now(admission.admitIdentity(visit(limits), held, ada)))).toBe('rate');
    expect(reasonOf(now(admission.request(visit(limits))))).toBeNull();
  });

  it('of plain requests are asked at once', () => {
    const admission = makeAdmission();
    const limits = { rates: [perClient()] };
    expect(Array.from({ length: 3 }, () => reasonOf(now(admission.request(visit(limits)))))).toEqual([
      null,
      null,
      'rate',
    ]);
  });
});

describe('rates that are shared', () => {
  const limiter = createLimiter('all', { rate: 0.1, burst: 5 }, 'all');
  const visit = {
    route: 'chat',
    client: '192.0.2.1',
    limits: { ...NONE, rates: [limiter], room: { connections_per_ip: 1 } },
  };

  it('are asked for elsewhere; a no is remembered here, and nothing is held', async () => {
    const take = vi.fn<SharedRates['take']>(async ([ask]) => ({ request: ask!, waitMs: 30_000 }));
    const admission = makeAdmission({ shared: { up: true, take } });
    const refused = await admission.admitAddress(visit);
    expect(refused).toMatchObject({ reason: 'rate' });
    expect(Number((refused as Rejection).fields[1])).toBeGreaterThanOrEqual(30);
    // Now it is known here, and the room was given back.
    expect(now(admission.admitAddress(visit))).toMatchObject({ reason: 'rate' });
    expect(take).toHaveBeenCalledTimes(1);
  });

  it('are those of this gateway alone while they are away, or do not answer', async () => {
    const fresh = createLimiter('all', { rate: 0.1, burst: 2 }, 'all');
    const limits = { ...NONE, rates: [fresh] };
    const away = makeAdmission({ shared: { up: false, take: () => Promise.reject(new Error('not asked')) } });
    expect(isRejection(now(away.admitAddress({ ...visit, limits })))).toBe(false);
    const silent = makeAdmission({ shared: { up: true, take: async () => 'unknown' } });
    expect(isRejection(await silent.admitAddress({ ...visit, limits }))).toBe(false);
    expect(now(silent.admitAddress({ ...visit, limits }))).toMatchObject({ reason: 'rate' });
  });
});

describe('a ramp', () => {
  it('refuses with a time of its own for each, and lets in what it has room for', () => {
    let time = 0;
    let turn = 0;
    // Tenths of a second, one after the other: by chance all of the first could be late.
    vi.spyOn(Math, 'random').mockImplementation(() => (turn++ % 10) / 10);
    const ramp = new Ramp(() => time);
    ramp.configure({ rate: 10, over: 10_000 });
    ramp.start();
    const admission = makeAdmission({ ramp });
    expect(typeof enter(admission, free)).not.toBe('string');
    const refused = Array.from(
      { length: 40 },
      () => now(admission.admitAddress(visitOf(free, '192.0.2.1', 'chat'))) as Rejection,
    );
    expect(new Set(refused.map(({ reason, status }) => `${status} ${reason}`))).toEqual(new Set(['503 ramp']));
    const seconds = refused.map(({ fields }) => Number(fields[1]));
    expect(Math.min(...seconds)).toBe(1);
    expect(Math.max(...seconds)).toBeGreaterThanOrEqual(4);
    expect(Math.max(...seconds)).toBeLessThanOrEqual(5);
    time = 10_000;
    for (let i = 0; i < 100; i++) permit(admission, free);
  });

  it('is no wider for those who wait together for what is shared', async () => {
    const ramp = new Ramp(() => 0);
    ramp.configure({ rate: 10, over: 10_000 });
    ramp.start();
    const admission = makeAdmission({ ramp, shared: { up: true, take: async () => 'taken' } });
    const limits = { ...NONE, rates: [createLimiter('all', { rate: 1, burst: 50 }, 'all')] };
    const arrivals = Array.from({ length: 20 }, () =>
      admission.admitAddress({ route: 'chat', client: '192.0.2.1', limits }),
    );
    const refused = (await Promise.all(arrivals)).filter(isRejection);
    expect(refused.map(({ reason }) => reason)).toEqual(Array(19).fill('ramp'));
  });
});
