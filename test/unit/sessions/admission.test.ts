// Permits: as many as the route and the client may hold, each given back once.
import { describe, expect, it } from 'vitest';
import { Admission, type Limits, type Permit } from '../../../src/sessions/admission.ts';

const free: Limits = {};

/** A permit that there must be. */
function permit(admission: Admission, limits: Limits, client = '192.0.2.1', route = 'chat'): Permit {
  const acquired = admission.acquire(route, client, limits);
  if (typeof acquired === 'string') throw new Error(acquired);
  return acquired;
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
    expect(admission.acquire('chat', '192.0.2.1', limits)).toBe(reason);
    first!();
    permit(admission, limits);
    expect(admission.acquire('chat', '192.0.2.1', limits)).toBe(reason);
  });

  it('gives nothing more where a permit is given back twice', () => {
    const admission = new Admission();
    const limits = { connections: 2 };
    const [first] = [permit(admission, limits), permit(admission, limits)];
    first!();
    first!();
    permit(admission, limits);
    expect(admission.acquire('chat', '192.0.2.1', limits)).toBe('limit');
  });

  it('is each route’s own, and each client’s', () => {
    const admission = new Admission();
    const limits = { connections: 2, connections_per_ip: 1 };
    permit(admission, limits);
    permit(admission, limits, '192.0.2.2');
    expect(admission.acquire('chat', '192.0.2.3', limits)).toBe('limit');
    permit(admission, limits, '192.0.2.1', 'other');
    expect(admission.acquire('other', '192.0.2.1', limits)).toBe('client_limit');
  });

  it('of a client that was refused takes nothing from the route', () => {
    const admission = new Admission();
    const limits = { connections: 2, connections_per_ip: 1 };
    permit(admission, limits);
    for (let i = 0; i < 5; i++) expect(admission.acquire('chat', '192.0.2.1', limits)).toBe('client_limit');
    permit(admission, limits, '192.0.2.2');
  });

  it('that a reload brings counts what is live already', () => {
    const admission = new Admission();
    const releases = [permit(admission, free), permit(admission, free)];
    const limits = { connections: 2 };
    expect(admission.acquire('chat', '192.0.2.9', limits)).toBe('limit');
    for (const release of releases) release();
    permit(admission, limits);
  });
});
