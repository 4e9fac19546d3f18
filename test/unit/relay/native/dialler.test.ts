// What a caller of the native dial may rely on whatever the addon does: it is told of its dial in the end.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Defect, onDefect } from '../../../../src/base/guard.ts';
import { ClientClosed } from '../../../../src/net/client-closed.ts';
import { type Addon, type Engine, EventBuffer, WakeBatcher } from '../../../../src/relay/native/addon.ts';
import { NativeDialler } from '../../../../src/relay/native/dialler.ts';
import { requestNatively } from '../../../../src/upstream/handshake/native-upgrade.ts';

const SERVER = { url: 'ws://192.0.2.1:80', secure: false, host: '192.0.2.1', port: 80 };
const ORDER = { address: '192.0.2.1', port: 80, bytes: '', connectMs: 2_000, answerMs: 3_000, maxHead: 1_000 };

describe('a dial that the addon tells nothing of', () => {
  let dialler: NativeDialler;
  let cancelled: number[];
  let defects: Defect[];
  let forget: () => void;

  beforeEach(() => {
    vi.useFakeTimers();
    cancelled = [];
    defects = [];
    forget = onDefect((defect) => defects.push(defect));
    let next = 0;
    const addon = {
      dial: () => next++ * 16,
      cancel: (_engine: Engine, id: number) => void cancelled.push(id),
      wake: () => undefined,
    } as unknown as Addon;
    const engine = {} as Engine;
    dialler = new NativeDialler({
      addon,
      engine,
      threads: 1,
      wakeups: new WakeBatcher(addon, engine),
      eventBuffer: new EventBuffer(),
    });
  });
  afterEach(() => {
    forget();
    vi.useRealTimers();
  });

  const dial = () => {
    const told: unknown[][] = [];
    const id = dialler.dial(ORDER, {
      onHead: () => void told.push(['came']),
      failed: (why, connected) => void told.push(['failed', why, connected]),
    });
    return { id, told };
  };

  it('fails some time behind its own waits, and not before, and counts as a defect', () => {
    const { told } = dial();
    vi.advanceTimersByTime(9_000);
    expect([told, cancelled, defects]).toEqual([[], [], []]);
    vi.advanceTimersByTime(2_000);
    expect(told).toEqual([['failed', 'silent', true]]);
    expect(cancelled).toEqual([0]);
    expect(defects).toMatchObject([{ where: 'handshake', thrown: { message: 'the relay gave no result for a dial' } }]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('does not fail because the process stood still', () => {
    const { told } = dial();
    // A timer that is long overdue runs once.
    vi.setSystemTime(Date.now() + 3_600_000);
    vi.advanceTimersToNextTimer();
    expect(told).toEqual([]);
  });

  it('fails once, and not where it was cancelled', () => {
    const [one, other] = [dial(), dial()];
    dialler.cancel(one.id);
    dialler.cancel(one.id);
    expect(cancelled).toEqual([0]);
    vi.advanceTimersByTime(60_000);
    dialler.cancel(other.id);
    expect([one.told, other.told, cancelled]).toEqual([[], [['failed', 'silent', true]], [0, 16]]);
  });

  it('is a handshake that ends as backend_timeout', async () => {
    const timeouts = { connect: 2_000, handshake: 3_000 };
    const asking = { preamble: null, handshake: 'GET / HTTP/1.1\r\n\r\n', timeouts, clientClosed: new ClientClosed() };
    const outcome = expect(requestNatively(dialler, SERVER, asking)).rejects.toMatchObject({ code: 'backend_timeout' });
    await vi.advanceTimersByTimeAsync(12_000);
    await outcome;
  });
});
