// Permits: as many as the route and the client may hold, taken in two steps, each given back once.
import { describe, expect, it } from 'vitest';
import { isRejection } from '../../../src/handshake/rejection.ts';
import { Admission, type Limits, type Permit } from '../../../src/sessions/admission.ts';

const free: Limits = {};
const visitOf = (limits: Limits, client: string, route: string) => ({ route, client, limits });

/** Both steps: the permit, or the reason there is none; what a refused visit held is given back. */
function enter(admission: Admission, limits: Limits, client = '192.0.2.1', route = 'chat'): Permit | string {
  const visit = visitOf(limits, client, route);
  const permit = admission.arrive(visit);
  if (isRejection(permit)) return permit.reason;
  const refused = admission.admit(visit, permit, null);
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
    const admission = new Admission();
    for (let i = 0; i < 1000; i++) permit(admission, free);
  });
});

describe('a limit', () => {
  it.each<[string, Limits, 'limit' | 'client_limit']>([
    ['of the route', { connections: 2 }, 'limit'],
    ['of the client', { connections_per_ip: 2 }, 'client_limit'],
    ['of the client first, where both are reached', { connections: 2, connections_per_ip: 2 }, 'client_limit'],
  ])('%s holds until one is given back', (_, limits, reason) => {
    const admission = new Admission();
    const [first] = [permit(admission, limits), permit(admission, limits)];
    expect(enter(admission, limits)).toBe(reason);
    first!.release();
    permit(admission, limits);
    expect(enter(admission, limits)).toBe(reason);
  });

  it('gives nothing more where a permit is given back twice', () => {
    const admission = new Admission();
    const limits = { connections: 2, connections_per_ip: 2 };
    const [first] = [permit(admission, limits), permit(admission, limits)];
    first!.release();
    first!.release();
    permit(admission, limits);
    expect(enter(admission, limits)).toBe('client_limit');
    expect(enter(admission, { connections: 2 })).toBe('limit');
  });

  it('is each route’s own, and each client’s', () => {
    const admission = new Admission();
    const limits = { connections: 2, connections_per_ip: 1 };
    permit(admission, limits);
    permit(admission, limits, '192.0.2.2');
    expect(enter(admission, limits, '192.0.2.3')).toBe('limit');
    permit(admission, limits, '192.0.2.1', 'other');
    expect(enter(admission, limits, '192.0.2.1', 'other')).toBe('client_limit');
  });

  it('of a client that was refused takes nothing from the route', () => {
    const admission = new Admission();
    const limits = { connections: 2, connections_per_ip: 1 };
    permit(admission, limits);
    for (let i = 0; i < 5; i++) expect(enter(admission, limits)).toBe('client_limit');
    permit(admission, limits, '192.0.2.2');
  });

  it('of the client counts those whose credentials are still looked at; the route’s does not', () => {
    const admission = new Admission();
    const limits = { connections: 1, connections_per_ip: 1 };
    const visit = visitOf(limits, '192.0.2.1', 'chat');
    const waiting = admission.arrive(visit) as Permit;
    expect(admission.arrive(visit)).toMatchObject({ reason: 'client_limit' });
    permit(admission, limits, '192.0.2.2');
    expect(admission.admit(visit, waiting, null)).toMatchObject({ reason: 'limit' });
    waiting.release();
    expect(isRejection(admission.arrive(visit))).toBe(false);
  });

  it('that a reload brings counts what is live already', () => {
    const admission = new Admission();
    const permits = [permit(admission, free), permit(admission, free)];
    const limits = { connections: 2 };
    expect(enter(admission, limits, '192.0.2.9')).toBe('limit');
    for (const each of permits) each.release();
    permit(admission, limits);
  });
});
