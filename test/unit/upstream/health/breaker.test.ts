// Ejection by traffic: when, for how long, and how a server comes back. Time is a number here.
import { describe, expect, it } from 'vitest';
import { Breaker, type BreakerSettings, type Outcome } from '../../../../src/upstream/health/breaker.ts';
import { Window } from '../../../../src/upstream/health/window.ts';

const SETTINGS: BreakerSettings = {
  failures: 3,
  errors: 0.5,
  requests: 10,
  window: 10_000,
  eject: 1000,
  max_eject: 5000,
};

function setUp(settings = SETTINGS) {
  const breaker = new Breaker();
  const record = (outcome: Outcome, now = 0) => breaker.record(outcome, now, settings);
  return { breaker, record };
}

describe('a server is due to be ejected', () => {
  it('after so many failures in a row, and not when one in between went well', () => {
    const { record } = setUp();
    expect(['failed', 'failed', 'ok', 'failed', 'failed'].map((outcome) => record(outcome as Outcome))).toEqual(
      Array.from({ length: 5 }, () => null),
    );
    expect(record('failed')).toBe('3 failures in a row');
  });

  it('by its own errors only as a share of enough requests', () => {
    const { record } = setUp();
    for (let i = 0; i < 9; i++) expect(record('error')).toBeNull();
    expect(record('error')).toBe('10 errors in 10 requests');
  });

  it('and not below the share, or once the errors are too old', () => {
    const { record } = setUp();
    for (let i = 0; i < 30; i++) expect(record(i % 5 > 2 ? 'error' : 'ok')).toBeNull();
    for (let i = 0; i < 9; i++) expect(record('error', 20_000)).toBeNull();
    expect(record('error', 20_000)).not.toBeNull();
  });
});

describe('an ejected server', () => {
  it('is out for its time, then open for one trial', () => {
    const { breaker } = setUp();
    expect(breaker.open(0)).toBe(true);
    expect(breaker.eject(0, SETTINGS)).toBe(1000);
    expect([breaker.out, breaker.open(999), breaker.open(1000)]).toEqual([true, false, true]);
    expect(breaker.begin()).toBe(true);
    expect([breaker.open(1000), breaker.begin()]).toEqual([false, false]);
  });

  it('serves again after a trial that went well, an error of its own included', () => {
    for (const outcome of ['ok', 'error'] as const) {
      const { breaker } = setUp();
      breaker.eject(0, SETTINGS);
      breaker.begin();
      expect(breaker.endTrial(outcome)).toBe(true);
      expect([breaker.out, breaker.open(1)]).toEqual([false, true]);
    }
  });

  it('waits for another trial where the client left', () => {
    const { breaker } = setUp();
    breaker.eject(0, SETTINGS);
    breaker.begin();
    expect(breaker.endTrial(null)).toBe(false);
    expect([breaker.out, breaker.open(1000)]).toEqual([true, true]);
  });

  it('waits twice as long each time, up to the most, and begins anew after calm', () => {
    const { breaker } = setUp();
    let now = 0;
    const waits = Array.from({ length: 5 }, () => {
      const ms = breaker.eject(now, SETTINGS);
      now += ms;
      breaker.begin();
      breaker.endTrial('failed');
      return ms;
    });
    expect(waits).toEqual([1000, 2000, 4000, 5000, 5000]);
    expect(breaker.eject(now + 5001, SETTINGS)).toBe(1000);
  });

  it('hears nothing of what began before', () => {
    const { breaker, record } = setUp();
    breaker.eject(0, SETTINGS);
    expect(['ok', 'failed', 'failed', 'failed'].map((outcome) => record(outcome as Outcome))).toEqual([
      null,
      null,
      null,
      null,
    ]);
    expect(breaker.out).toBe(true);
    breaker.reset();
    expect(breaker.out).toBe(false);
  });
});

describe('a window', () => {
  it('counts what was within it, in tenths, and forgets the rest', () => {
    const window = new Window(1000);
    window.add(true, 0);
    window.add(false, 50);
    window.add(true, 500);
    expect(window.sums(500)).toEqual({ all: 3, marked: 2 });
    expect(window.sums(999)).toEqual({ all: 3, marked: 2 });
    expect(window.sums(1000)).toEqual({ all: 1, marked: 1 });
    expect(window.sums(1e9)).toEqual({ all: 0, marked: 0 });
  });
});
