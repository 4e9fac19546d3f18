// Live sessions judged again: when, by whom, how many at a time, and what becomes of those nobody can judge.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { AuthRequest, AuthResult } from '../../../src/auth/authenticator.ts';
import { TimerWheel } from '../../../src/base/timer-wheel.ts';
import { reject } from '../../../src/handshake/rejection.ts';
import { type PresentedCredentials, type Recheck, Rechecks } from '../../../src/sessions/recheck.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance', 'Date'] }));
afterEach(() => void vi.useRealTimers());

const GOOD: AuthResult = { subject: 'ada', claims: {}, expiresAt: 7, fields: [] };
const shown = { id: '1' } as PresentedCredentials;
const session = (user: string | null = 'ada') => ({ route: 'chat', user, close: vi.fn() });
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

/** Every 10 s, with 4 s of grace, without jitter: half of that before the first look. */
function fixture(answer: (asking: AuthRequest) => AuthResult | Promise<AuthResult>) {
  const authenticate = vi.fn(answer);
  const rule: Recheck = { authenticator: { authenticate }, everyMs: 10_000, graceMs: 4000 };
  const rules: { current: Recheck | null } = { current: rule };
  const renew = vi.fn();
  const rechecks = new Rechecks({
    wheel: new TimerWheel('auth'),
    recheckOf: () => rules.current,
    renew,
    random: () => 0.5,
  });
  const open = (one = session()) => {
    rechecks.watch(one, shown, 10_000);
    return one;
  };
  return { authenticate, rules, rule, renew, rechecks, open };
}

const nobody = () => reject('auth_unavailable');
const never = () => new Promise<never>(() => {});

it('asks again and again, and a session that is good goes on, to the end that is known now', async () => {
  const { authenticate, open, renew } = fixture(() => GOOD);
  const one = open();
  await pass(7400);
  expect(authenticate).not.toHaveBeenCalled();
  await pass(200);
  expect(authenticate).toHaveBeenCalledTimes(1);
  expect(authenticate.mock.calls[0]![0]).toMatchObject({ id: '1' });
  expect(renew.mock.calls).toEqual([[one, 7]]);
  await pass(10_200);
  expect(authenticate).toHaveBeenCalledTimes(2);
  expect(one.close).not.toHaveBeenCalled();
});

it('spreads sessions that opened together', async () => {
  const authenticate = vi.fn(() => GOOD);
  const recheckOf = () => ({ authenticator: { authenticate }, everyMs: 10_000, graceMs: 0 });
  const draws = [0, 0.25, 0.5, 0.75, 1];
  const random = () => draws.shift() ?? 0.5;
  const rechecks = new Rechecks({ wheel: new TimerWheel('auth'), recheckOf, renew: vi.fn(), random });
  for (let i = 0; i < 5; i++) rechecks.watch(session(), shown, 10_000);
  const counts: number[] = [];
  for (const ms of [4900, 200, 1250, 1250, 1250, 1250]) {
    await pass(ms);
    counts.push(authenticate.mock.calls.length);
  }
  expect(counts).toEqual([0, 1, 2, 3, 4, 5]);
});

it.each([
  ['401', reject('auth'), [4401, 'credentials are refused', 5000]],
  ['403', reject('certificate'), [4403, 'credentials are refused', 5000]],
  [
    'another server’s 401',
    { status: 401, phrase: '', answer: [], body: Buffer.of() },
    [4401, 'credentials are refused', 5000],
  ],
  [
    'another server’s 302',
    { status: 302, phrase: '', answer: [], body: Buffer.of() },
    [4403, 'credentials are refused', 5000],
  ],
  ['somebody else', { ...GOOD, subject: 'eve' }, [4401, 'credentials are of another', 5000]],
] as const)('%s closes, once', async (_, found, closed) => {
  const { open, authenticate } = fixture(() => found);
  const one = open();
  await pass(60_000);
  expect(one.close.mock.calls).toEqual([closed]);
  expect(authenticate).toHaveBeenCalledTimes(1);
  expect(vi.getTimerCount()).toBe(0);
});

describe('where nobody can tell', () => {
  it.each([
    ['it says so', nobody],
    ['too many stand in line', () => reject('limit')],
    ['it breaks', () => Promise.reject(new Error('down'))],
  ])('because %s, it is tried again, and closed after the grace and not before', async (_, answer) => {
    const { open, authenticate } = fixture(answer);
    const one = open();
    await pass(7500 + 3900);
    expect(authenticate.mock.calls.length).toBeGreaterThan(2);
    expect(one.close).not.toHaveBeenCalled();
    await pass(250);
    expect(one.close.mock.calls).toEqual([[4401, 'credentials could not be checked', 5000]]);
  });

  it('an answer in between begins the time anew', async () => {
    let answer: () => AuthResult = nobody;
    const { open } = fixture(() => answer());
    const one = open();
    await pass(7500 + 3000);
    answer = () => GOOD;
    await pass(1500);
    answer = nobody;
    await pass(10_000 + 2000);
    expect(one.close).not.toHaveBeenCalled();
    await pass(4000);
    expect(one.close).toHaveBeenCalledOnce();
  });

  it('those in line do not wait longer than the grace either', async () => {
    // 32 are asked about; the answers of all but one never come.
    let first = true;
    const { open } = fixture(() => {
      if (!first) return never();
      first = false;
      return nobody();
    });
    const all = Array.from({ length: 100 }, () => open());
    await pass(7600);
    await pass(20_000);
    for (const one of all) expect(one.close).toHaveBeenCalledOnce();
  });
});

it('asks about 32 at a time', async () => {
  const answers: (() => void)[] = [];
  const { open, authenticate } = fixture(() => new Promise((resolve) => answers.push(() => resolve(GOOD))));
  const all = Array.from({ length: 50 }, () => open());
  await pass(7600);
  expect(authenticate).toHaveBeenCalledTimes(32);
  // Nobody has failed: to be in line is no reason to be closed.
  await pass(20_000);
  expect(authenticate).toHaveBeenCalledTimes(32);
  for (const answer of answers.splice(0)) answer();
  await pass(50);
  expect(authenticate).toHaveBeenCalledTimes(50);
  for (const one of all) expect(one.close).not.toHaveBeenCalled();
});

it('asks nobody about a session that has ended, in line or while it is asked about', async () => {
  const { open, rechecks, authenticate } = fixture(never);
  const all = Array.from({ length: 40 }, () => open());
  await pass(7600);
  const goneOf = (i: number) => authenticate.mock.calls[i]![0].clientClosed;
  expect(goneOf(0).closed).toBe(false);
  for (const one of all) rechecks.forget(one);
  rechecks.forget(session());
  expect(goneOf(0).closed).toBe(true);
  await pass(60_000);
  expect(authenticate).toHaveBeenCalledTimes(32);
  expect(vi.getTimerCount()).toBe(0);
});

it('says nothing more of a session that ends while it is asked about', async () => {
  let answer: (found: AuthResult) => void = () => {};
  const { open, rechecks } = fixture(() => new Promise<AuthResult>((resolve) => (answer = resolve)));
  const one = open();
  await pass(7600);
  rechecks.forget(one);
  answer(reject('auth'));
  await pass(60_000);
  expect(one.close).not.toHaveBeenCalled();
});

it('goes by the config of now: another who is asked, or nobody', async () => {
  const { open, rules, rule, authenticate } = fixture(() => GOOD);
  const one = open();
  rules.current = null;
  await pass(60_000);
  expect(authenticate).not.toHaveBeenCalled();
  rules.current = { ...rule, authenticator: { authenticate: () => reject('auth') } };
  await pass(11_000);
  expect(one.close).toHaveBeenCalledOnce();
});

it('closes nobody for what was asked under a config that is gone', async () => {
  let answer: (found: AuthResult) => void = () => {};
  const { open, rules } = fixture(() => new Promise<AuthResult>((resolve) => (answer = resolve)));
  const one = open();
  await pass(7600);
  rules.current = null;
  answer(reject('auth'));
  await pass(60_000);
  expect(one.close).not.toHaveBeenCalled();
});
