import { expect, it } from 'vitest';
import { Keepalive, type Timing } from '../../../../src/websocket/connection/keepalive.ts';

const TIMING: Timing = { idleMs: 1000, lifetimeMs: 10_000, ping: { every: 300, timeout: 100 } };
const open = (changes: Partial<Timing> = {}) => new Keepalive({ ...TIMING, ...changes }, 0);
const QUIET = { ping: null, lifetimeMs: Number.POSITIVE_INFINITY };

it('is idle once nothing has moved for as long, either way', () => {
  const pulse = open(QUIET);
  expect([pulse.due(999), pulse.due(1000)]).toEqual([null, 'idle']);
  pulse.read(5, 900);
  expect([pulse.due(1899), pulse.due(1900)]).toEqual([null, 'idle']);
  pulse.wrote(1500);
  expect([pulse.due(2499), pulse.due(2500), pulse.next()]).toEqual([null, 'idle', 2500]);
});

it('ends at its lifetime however busy it is', () => {
  const pulse = open({ ping: null });
  for (let now = 500; now < 10_000; now += 500) {
    pulse.read(5, now);
    expect(pulse.due(now)).toBeNull();
  }
  expect(pulse.due(10_000)).toBe('max_lifetime');
});

it('pings at each interval, and any byte is a sign of life', () => {
  const pulse = open();
  expect([pulse.due(299), pulse.due(300)]).toEqual([null, 'ping']);
  expect(pulse.ping(300)).toHaveLength(8);
  pulse.pinged(300);
  expect(pulse.next()).toBe(400);
  expect(pulse.due(399)).toBeNull();
  expect(pulse.read(1, 399)).toBe(true);
  expect(pulse.read(1, 399)).toBe(false);
  expect([pulse.due(400), pulse.due(600)]).toEqual([null, 'ping']);
});

it('gives up on a client that shows none in time', () => {
  const pulse = open();
  pulse.read(1, 299);
  pulse.ping(300);
  pulse.pinged(310);
  expect([pulse.due(409), pulse.due(410)]).toEqual([null, 'ping_timeout']);
});

it('sends no second ping while one is unanswered', () => {
  const pulse = open({ ping: { every: 300, timeout: 5000 } });
  expect(pulse.ping(300)).not.toBeNull();
  pulse.pinged(300);
  expect(pulse.ping(600)).toBeNull();
  expect(pulse.next()).toBe(900);
});

it('waits with its verdict while the ping is queued, or while nothing is read', () => {
  const pulse = open({ idleMs: 1e6, lifetimeMs: 1e6, ping: { every: 1e5, timeout: 100 } });
  pulse.ping(0);
  expect(pulse.due(5000)).toBeNull();
  pulse.pinged(5000);
  pulse.hold();
  expect(pulse.due(9000)).toBeNull();
  pulse.release(9000);
  expect([pulse.due(9099), pulse.due(9100)]).toEqual([null, 'ping_timeout']);
});

it('our pings and their pongs are no activity; what comes with the pong, or is not its answer, is', () => {
  const answered = (chunk: number, change: (payload: Buffer) => Buffer = (payload) => payload) => {
    const pulse = open({ ping: { every: 300, timeout: 5000 } });
    const payload = pulse.ping(300);
    if (!payload) throw new Error('no ping');
    pulse.pinged(300);
    pulse.read(chunk, 400);
    pulse.pong(change(payload));
    return pulse.due(1000);
  };
  expect(answered(14)).toBe('idle');
  expect(answered(15)).toBe('ping');
  expect(answered(14, () => Buffer.alloc(8))).toBe('ping');
});

it('only the first of two equal pongs is the answer', () => {
  const pulse = open({ ping: { every: 300, timeout: 5000 } });
  const payload = pulse.ping(300)!;
  pulse.read(14, 400);
  pulse.pong(payload);
  pulse.read(14, 500);
  pulse.pong(payload);
  expect(pulse.due(1499)).toBe('ping');
  expect(pulse.due(1500)).toBe('idle');
});
