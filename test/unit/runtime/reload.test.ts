import { describe, expect, test } from 'vitest';
import type { ReloadOutcome } from '../../../src/base/reload-outcome.ts';
import type { GatewayEvent } from '../../../src/events.ts';
import { type Built, Reloader } from '../../../src/runtime/reload.ts';

const OUTCOME: ReloadOutcome = {
  kept: 3,
  draining: [{ why: 'route chat removed', sessions: 2 }],
  restartNeeded: [],
};

/** A reloader over a content that can be set, with builds that end when told. */
function reloading() {
  const state = {
    content: 'one',
    serving: 'zero',
    building: 0,
    most: 0,
    builds: 0,
    discarded: [] as string[],
    renewed: 0,
    read: '',
  };
  const events: GatewayEvent[] = [];
  const gates: (() => void)[] = [];
  let opened = false;
  const passGate = () => (opened ? Promise.resolve() : new Promise<void>((resolve) => gates.push(resolve)));
  const reloader = new Reloader<string>({
    async build(): Promise<Built<string>> {
      state.builds++;
      state.most = Math.max(state.most, ++state.building);
      const content = state.content;
      state.read = content;
      await passGate();
      state.building--;
      if (content === 'throws') throw new Error('disk on fire');
      if (content.startsWith('bad')) return { ok: false, problems: [`g.yaml:1:1: error: ${content}`, 'another'] };
      return { ok: true, next: content };
    },
    stale: async () => state.read !== state.content,
    async renew() {
      state.renewed++;
    },
    swap(next) {
      if (next === 'unswappable') throw new Error('port taken');
      state.serving = next;
      return OUTCOME;
    },
    discard: (next) => state.discarded.push(next),
    emit: (event) => events.push(event),
  });
  return {
    reloader,
    state,
    events,
    /** Lets every build pass from here on. */
    open() {
      opened = true;
      for (const gate of gates.splice(0)) gate();
    },
  };
}

describe('Reloader', () => {
  test('of a file that was read for another reason meanwhile is none', async () => {
    const { reloader, state, events, open } = reloading();
    open();
    state.content = 'two';
    const [asked, ofFile] = await Promise.all([reloader.request('api'), reloader.request('file')]);
    expect(ofFile).toBe(asked);
    expect([state.builds, events.length, state.serving]).toEqual([1, 1, 'two']);
    state.content = 'bad';
    await Promise.all([reloader.request('signal'), reloader.request('file')]);
    expect([state.builds, events.length]).toEqual([2, 2]);
    state.content = 'three';
    await reloader.request('file');
    expect([state.builds, state.serving, reloader.last?.trigger]).toEqual([3, 'three', 'file']);
  });

  test('builds, swaps, and says so', async () => {
    const { reloader, state, events, open } = reloading();
    open();
    expect((await reloader.request('signal')).outcome).toEqual(OUTCOME);
    expect(state.serving).toBe('one');
    expect(state.renewed).toBe(0);
    expect(events).toEqual([
      { type: 'config_reloaded', result: 'success', trigger: 'signal', problems: [], outcome: OUTCOME },
    ]);
  });

  test.each([
    ['bad', ['g.yaml:1:1: error: bad', 'another']],
    ['throws', ['disk on fire']],
    ['unswappable', ['port taken']],
  ])('%s content leaves the old serving and says why, and the next good one is taken', async (content, problems) => {
    const { reloader, state, events, open } = reloading();
    open();
    state.content = content;
    expect((await reloader.request('file')).outcome).toBeNull();
    expect(state.renewed).toBe(1);
    expect(state.serving).toBe('zero');
    expect(events).toEqual([{ type: 'config_reloaded', result: 'failure', trigger: 'file', problems, outcome: null }]);
    state.content = 'good';
    expect((await reloader.request('file')).outcome).toEqual(OUTCOME);
    expect(state.serving).toBe('good');
  });

  test('a failure always has a reason', async () => {
    const events: GatewayEvent[] = [];
    const reloader = new Reloader<string>({
      build: async () => ({ ok: false, problems: [] }),
      swap: () => OUTCOME,
      stale: async () => true,
      renew: async () => {},
      discard: () => {},
      emit: (event) => events.push(event),
    });
    expect((await reloader.request('signal')).outcome).toBeNull();
    expect(events).toMatchObject([{ result: 'failure', problems: ['the new config was refused'] }]);
  });

  test('a signal and a change at once go one after the other, and the newest content wins', async () => {
    const { reloader, state, events, open } = reloading();
    const first = reloader.request('signal');
    state.content = 'two';
    const second = reloader.request('file');
    state.content = 'three';
    const third = reloader.request('file');
    open();
    const reports = await Promise.all([first, second, third]);
    expect(reports.map(({ outcome }) => outcome)).toEqual([OUTCOME, OUTCOME, OUTCOME]);
    expect(reloader.last).toBe(reports[2]);
    expect(state).toMatchObject({ serving: 'three', most: 1, builds: 2 });
    expect(events.map((event) => event.type === 'config_reloaded' && event.trigger)).toEqual(['signal', 'file']);
  });

  test('the next is served although the one before it fails', async () => {
    const { reloader, state, open } = reloading();
    state.content = 'bad';
    const first = reloader.request('file');
    state.content = 'two';
    const second = reloader.request('file');
    open();
    expect([(await first).outcome, (await second).outcome]).toEqual([null, OUTCOME]);
    expect(state.serving).toBe('two');
  });

  test('many in a row never run in parallel', async () => {
    const { reloader, state, open } = reloading();
    open();
    for (let index = 0; index < 20; index++) {
      state.content = `c${index}`;
      void reloader.request('file');
      if (index % 3 === 0) await Promise.resolve();
    }
    await reloader.request('signal');
    expect(state).toMatchObject({ serving: 'c19', most: 1 });
  });

  test('once closed nothing is swapped: what was being built is given back', async () => {
    const { reloader, state, events, open } = reloading();
    const first = reloader.request('signal');
    const second = reloader.request('api');
    const closed = reloader.close();
    open();
    await closed;
    expect((await first).outcome).toBeNull();
    expect((await second).outcome).toBeNull();
    expect((await reloader.request('signal')).outcome).toBeNull();
    expect(state).toMatchObject({ serving: 'zero', builds: 1, discarded: ['one'] });
    expect(events).toHaveLength(3);
    expect(events[0]).toMatchObject({ result: 'failure', problems: ['the gateway is stopping'] });
  });
});
