import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { DrainConfig } from '../../../src/config/schema/schema.ts';
import type { GatewayEvent } from '../../../src/events.ts';
import { startDrain } from '../../../src/runtime/drain.ts';
import { Registry } from '../../../src/sessions/registry.ts';
import { sessionOf } from '../../support/sessions.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A gateway in little: a real registry, sessions that end as told, and a log of what the drain did and when. */
function gateway() {
  const registry = new Registry();
  const start = performance.now();
  const log: [at: number, what: string][] = [];
  const write = (what: string) => log.push([Math.round(performance.now() - start), what]);
  const state = { requests: 0, answers: [] as { endEarly(): void }[], doneAt: undefined as number | undefined };

  /** Opens a session that takes `closingMs` to close; `never`: it has to be cut. */
  function open(id: string, closingMs: number | 'never' = 0) {
    const session = sessionOf({
      id,
      mode: 'splice',
      close(code, reason, deadlineMs) {
        write(`close ${id} ${code} ${reason} ${Math.round(deadlineMs)}`);
        if (closingMs !== 'never') setTimeout(end, closingMs);
      },
      cut(reason) {
        write(`cut ${id} ${reason}`);
        setTimeout(end, 0); // a socket's "close" comes a turn later
      },
    });
    const place = registry.add(session);
    const end = () => registry.remove(place);
    return { end };
  }

  /** Begins an answer without an end of its own. */
  function stream(id: string): void {
    const answer = {
      endEarly: () => {
        write(`end ${id}`);
        state.answers = state.answers.filter((each) => each !== answer);
      },
    };
    state.answers = [...state.answers, answer];
  }

  function drain(config: Partial<DrainConfig>, random = () => 0.5) {
    const drained = startDrain({
      config: { delay: 0, grace: 30_000, spread: 10_000, ...config },
      random,
      emit: (event: GatewayEvent) => {
        if (event.type !== 'drain') return;
        write(`${event.phase} ${event.sessions}${event.requests === 0 ? '' : ` and ${event.requests}`}`);
      },
      target: {
        notReady: () => write('notReady'),
        stopListening: async () => void write('stopListening'),
        sessions: () => registry.sessions(),
        requests: () => state.requests + state.answers.length,
        endlessAnswers: () => state.answers,
        cutRequests: () => {
          write('cutRequests');
          state.requests = 0;
        },
      },
    });
    void drained.then(() => {
      state.doneAt = Math.round(performance.now() - start);
    });
    return drained;
  }

  return { open, stream, drain, log, state, closes: () => log.filter(([, what]) => what.startsWith('close ')) };
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

describe('startDrain', () => {
  test('with nothing live it is over as soon as the listeners are closed', async () => {
    const { drain, log, state } = gateway();
    void drain({});
    await pass(0);
    expect(state.doneAt).toBe(0);
    expect(log.map(([, what]) => what)).toEqual([
      'notReady',
      'started 0',
      'stopListening',
      'listeners_closed 0',
      'done 0',
    ]);
  });

  test('is not ready at once, and serves everything until the delay is over, even when nothing is live', async () => {
    const { drain, log, state } = gateway();
    void drain({ delay: 5000 });
    expect(log).toEqual([
      [0, 'notReady'],
      [0, 'started 0'],
    ]);
    await pass(4999);
    expect(log).toHaveLength(2);
    await pass(1);
    expect(state.doneAt).toBe(5000);
    expect(log.slice(2).map(([, what]) => what)).toEqual(['stopListening', 'listeners_closed 0', 'done 0']);
  });

  test('closes what opened during the delay too', async () => {
    const { open, drain, closes, state } = gateway();
    open('before');
    void drain({ delay: 5000, spread: 0 });
    await pass(4000);
    open('during');
    await pass(1000);
    expect(closes()).toEqual([
      [5000, 'close before 1001 drain 30000'],
      [5000, 'close during 1001 drain 30000'],
    ]);
    await pass(50);
    expect(state.doneAt).toBe(5050);
  });

  test('spreads the closes evenly, each with what is left of the grace', async () => {
    const { open, drain, closes, state } = gateway();
    for (const id of ['a', 'b', 'c', 'd']) open(id);
    void drain({ delay: 1000 });
    await pass(20_000);
    expect(closes()).toEqual([
      [2250, 'close a 1001 drain 28750'],
      [4750, 'close b 1001 drain 26250'],
      [7250, 'close c 1001 drain 23750'],
      [9750, 'close d 1001 drain 21250'],
    ]);
    expect(state.doneAt).toBe(9800);
  });

  test('jitter moves a close within its own part of the spread only', async () => {
    const earliest = gateway();
    const latest = gateway();
    for (const { open } of [earliest, latest]) for (let id = 0; id < 10; id++) open(String(id));
    void earliest.drain({ delay: 1000 }, () => 0);
    void latest.drain({ delay: 1000 }, () => 0.999);
    await pass(15_000);
    const starts = Array.from({ length: 10 }, (_, index) => 1000 + index * 1000);
    expect(earliest.closes().map(([at]) => at)).toEqual(starts);
    expect(latest.closes().map(([at]) => at)).toEqual(starts.map((at) => at + 1000));
  });

  test('no spread: all at once', async () => {
    const { open, drain, closes } = gateway();
    for (let id = 0; id < 100; id++) open(String(id));
    void drain({ delay: 10, spread: 0 });
    await pass(10);
    expect(closes()).toHaveLength(100);
    expect(closes().every(([at, what]) => at === 10 && what.endsWith(' 1001 drain 30000'))).toBe(true);
  });

  test('a session that ends by itself before its turn is not closed, and the rest keep theirs', async () => {
    const { open, drain, closes, state } = gateway();
    open('a');
    const leaving = open('b');
    open('c');
    void drain({ delay: 1000, spread: 3000 });
    await pass(1600);
    leaving.end();
    await pass(5000);
    expect(closes().map(([at, what]) => [at, what.slice(0, 7)])).toEqual([
      [1500, 'close a'],
      [3500, 'close c'],
    ]);
    expect(state.doneAt).toBe(3550);
  });

  test('when all leave by themselves it is over before the spread is', async () => {
    const { open, drain, closes, state } = gateway();
    const sessions = [open('a'), open('b')];
    void drain({ delay: 1000 });
    await pass(2000);
    for (const session of sessions) session.end();
    await pass(50);
    expect(closes()).toEqual([]);
    expect(state.doneAt).toBe(2050);
  });

  test('a session that opens after the listeners closed, its handshake being under way, is closed as it comes', async () => {
    const { open, drain, closes, state } = gateway();
    open('early', 'never');
    void drain({ delay: 1000, spread: 0, grace: 20_000 });
    await pass(3010);
    open('late');
    await pass(100);
    expect(closes().at(-1)).toEqual([3050, 'close late 1001 drain 17950']);
    expect(state.doneAt).toBeUndefined();
  });

  test('cuts at the end of the grace what did not close, and waits for it to be gone', async () => {
    const { open, drain, log, state } = gateway();
    open('good', 100);
    open('stuck', 'never');
    void drain({ delay: 1000, spread: 0, grace: 5020 });
    await pass(6019);
    expect(log.some(([, what]) => what.startsWith('cut'))).toBe(false);
    await pass(1);
    expect(log.slice(-3)).toEqual([
      [6020, 'cut 1'],
      [6020, 'cutRequests'],
      [6020, 'cut stuck drain'],
    ]);
    await pass(50);
    expect(log.at(-1)?.[1]).toBe('done 0');
    expect(state.doneAt).toBe(6050);
  });

  test('no grace: everything is cut when the listeners close', async () => {
    const { open, drain, log, closes, state } = gateway();
    open('a');
    open('b');
    void drain({ delay: 1000, spread: 0, grace: 0 });
    await pass(1000);
    expect(closes()).toEqual([]);
    expect(log.slice(-5).map(([, what]) => what)).toEqual([
      'listeners_closed 2',
      'cut 2',
      'cutRequests',
      'cut a drain',
      'cut b drain',
    ]);
    await pass(50);
    expect(state.doneAt).toBeLessThanOrEqual(1050);
  });

  test('waits for a request in flight, and cuts it after the grace', async () => {
    const finishing = gateway();
    finishing.state.requests = 1;
    void finishing.drain({ delay: 1000 });
    await pass(3000);
    expect(finishing.state.doneAt).toBeUndefined();
    finishing.state.requests = 0;
    await pass(50);
    expect(finishing.state.doneAt).toBe(3050);

    const hanging = gateway();
    hanging.state.requests = 1;
    void hanging.drain({ delay: 1000, grace: 4000, spread: 0 });
    await pass(5000);
    expect(hanging.log.slice(-3).map(([, what]) => what)).toEqual(['cut 0 and 1', 'cutRequests', 'done 0']);
    expect(hanging.state.doneAt).toBe(5000);
  });

  test('ends answers that have no end over the spread, with the sessions', async () => {
    const { open, stream, drain, log, state } = gateway();
    open('a');
    for (const id of ['b', 'c', 'd']) stream(id);
    void drain({ grace: 30_000, spread: 8000 });
    await pass(0);
    stream('late');
    await pass(8000);
    // One in each quarter, in its middle; one that came behind the plan at once. A tick is 50 ms.
    expect(log.filter(([, what]) => /^(close|end) /.test(what)).map(([at, what]) => [at, what.slice(0, 7)])).toEqual([
      [50, 'end lat'],
      [1000, 'close a'],
      [3000, 'end b'],
      [5000, 'end c'],
      [7000, 'end d'],
    ]);
    expect(state.doneAt).toBe(7000);
  });

  test('gives up on a session that not even a cut ends, a second after the grace', async () => {
    const registry = new Registry();
    const cut = vi.fn();
    registry.add(sessionOf({ close: vi.fn(), cut }));
    let done = false;
    const nothing = () => {};
    void startDrain({
      config: { delay: 0, grace: 1000, spread: 0 },
      emit: nothing,
      target: {
        notReady: nothing,
        stopListening: async () => {},
        sessions: () => registry.sessions(),
        requests: () => 0,
        endlessAnswers: () => [],
        cutRequests: nothing,
      },
    }).then(() => {
      done = true;
    });
    await pass(1990);
    expect(cut).toHaveBeenCalledWith('drain');
    expect(done).toBe(false);
    await pass(100);
    expect(done).toBe(true);
  });

  test('leaves no timer behind', async () => {
    const { open, drain } = gateway();
    open('a');
    void drain({ spread: 0 });
    await pass(100);
    expect(vi.getTimerCount()).toBe(0);
  });
});
