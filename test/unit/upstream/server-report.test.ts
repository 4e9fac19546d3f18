import { describe, expect, it } from 'vitest';
import type { Server } from '../../../src/upstream/pool.ts';
import { reportServer } from '../../../src/upstream/server-report.ts';
import { makePool } from '../../support/pools.ts';

const SETTINGS = { failures: 1, errors: 1, requests: 100, window: 10_000, eject: 10_000, max_eject: 60_000 };

const serverOf = (changed: object = {}): Server =>
  makePool({ servers: [{ url: 'ws://a:1', ...changed }, 'ws://b:1'] }).pool.servers[0]!;

function ejected(): Server {
  const server = serverOf();
  server.state.breaker.eject(0, SETTINGS);
  return server;
}

describe('what is said of a server', () => {
  it('that nothing is wrong with', () => {
    expect(reportServer(serverOf(), 0)).toEqual({ healthy: true, eligible: true, why: null });
  });

  it('that is ejected: for how long still', () => {
    expect(reportServer(ejected(), 1500)).toEqual({
      healthy: false,
      eligible: false,
      why: 'ejected, for its traffic failed; tried again in 9 s',
    });
  });

  it('whose ejection is over, before its trial and during it', () => {
    const server = ejected();
    expect(reportServer(server, 10_000)).toEqual({
      healthy: false,
      eligible: true,
      why: 'ejected, for its traffic failed; its next request tries it',
    });
    server.state.breaker.begin();
    expect(reportServer(server, 10_000)).toEqual({
      healthy: false,
      eligible: false,
      why: 'ejected, for its traffic failed; a request is trying it',
    });
  });

  it('that fails, where no other could take its place', () => {
    const server = serverOf();
    server.state.breaker.keep();
    expect(reportServer(server, 0)).toEqual({
      healthy: false,
      eligible: true,
      why: 'fails, and is in use for want of others',
    });
  });

  it.each([
    ['drain', 'set to drain through the admin API'],
    ['down', 'set to down through the admin API'],
  ] as const)('that was set to %s', (set, why) => {
    const server = serverOf();
    server.state.set = set;
    expect(reportServer(server, 0)).toEqual({ healthy: true, eligible: false, why });
  });

  it('whose check fails, whose weight is 0, and that is full', () => {
    const failing = serverOf();
    failing.state.checked = false;
    expect(reportServer(failing, 0)).toMatchObject({ healthy: false, eligible: false, why: 'its health check fails' });
    expect(reportServer(serverOf({ weight: 0 }), 0)).toMatchObject({ eligible: false, why: 'its weight is 0' });
    const full = serverOf({ max_connections: 1 });
    full.state.live = 1;
    expect(reportServer(full, 0)).toMatchObject({ healthy: true, eligible: false, why: 'it has max_connections' });
  });
});
