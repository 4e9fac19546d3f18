// What is done about descriptors that run out, by the number that the system gave a connection.
import { spawnSync } from 'node:child_process';
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { fdShortage, readFdLimit, shareFds } from '../../../src/base/fd-limit.ts';
import { FdGuard } from '../../../src/listen/fd-limit.ts';

const withDescriptor = (fd?: number) => ({ _handle: fd === undefined ? null : { fd } }) as unknown as Socket;

describe('the shares of a limit', () => {
  it.each([
    [65_536, { pressing: 65_408, clients: 65_472, servers: 65_504 }],
    [256, { pressing: 192, clients: 224, servers: 240 }],
    [7, { pressing: 7, clients: 7, servers: 7 }],
    [null, { pressing: Infinity, clients: Infinity, servers: Infinity }],
  ])('of %s', (limit, shares) => expect(shareFds(limit)).toEqual(shares));
});

describe('a client', () => {
  it('is refused from the first kept descriptor on, and idle connections are closed before that', () => {
    let closed = 0;
    const guard = () => new FdGuard(() => closed++, shareFds(256));
    expect(guard().admits(withDescriptor(191))).toBe(true);
    expect(closed).toBe(0);
    expect(guard().admits(withDescriptor(192))).toBe(true);
    expect(closed).toBe(1);
    expect(guard().admits(withDescriptor(223))).toBe(true);
    expect(guard().admits(withDescriptor(224))).toBe(false);
    expect(closed).toBe(3);
  });

  it('costs no second look for idle connections at once', () => {
    let closed = 0;
    const guard = new FdGuard(() => closed++, shareFds(256));
    for (let fd = 192; fd < 300; fd++) guard.admits(withDescriptor(fd));
    expect(closed).toBe(1);
  });

  it('is never refused where the limit is not known, or the connection is gone', () => {
    const unused = () => expect.unreachable();
    expect(new FdGuard(unused, shareFds(null)).admits(withDescriptor(1_000_000))).toBe(true);
    expect(new FdGuard(unused, shareFds(256)).admits(withDescriptor())).toBe(true);
    expect(new FdGuard(unused, shareFds(256)).admits({} as Socket)).toBe(true);
  });
});

describe('a connection to a server', () => {
  it('is refused as the system would where the next descriptor is a kept one', () => {
    expect(fdShortage(shareFds(null))).toBeNull();
    expect(fdShortage({ pressing: 0, clients: 0, servers: 1_000_000 })).toBeNull();
    expect(fdShortage({ pressing: 0, clients: 0, servers: 3 })).toMatchObject({ code: 'EMFILE' });
  });
});

describe('the limit of this process', () => {
  it.runIf(process.platform === 'linux')('is the soft one', () => {
    const { stdout } = spawnSync('/bin/sh', ['-c', 'ulimit -n'], { encoding: 'utf8' });
    expect(readFdLimit()).toBe(stdout.trim() === 'unlimited' ? null : Number(stdout));
  });
});
