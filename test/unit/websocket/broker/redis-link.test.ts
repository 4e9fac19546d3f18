// The link to Redis: when it is silent, and what may be on its way, with a client library that answers when the test says.
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { MemoryBudget } from '../../../../src/base/memory-budget.ts';
import { BrokerError } from '../../../../src/websocket/broker/broker.ts';
import { RedisLink } from '../../../../src/websocket/broker/redis-link.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'clearImmediate'] });
});
afterEach(() => {
  vi.useRealTimers();
});

async function stand(budget = 2 ** 30) {
  const asked: { readonly words: readonly string[]; answer(): void }[] = [];
  const client = {
    on() {},
    removeAllListeners() {},
    destroy() {},
    connect: async () => {},
    subscribe: async () => {},
    scriptLoad: async () => {},
    sendCommand: (words: readonly string[]) =>
      new Promise((resolve) => asked.push({ words, answer: () => resolve('done') })),
  };
  const library = { createClient: () => client, ErrorReply: class extends Error {} };
  const down: string[] = [];
  const queues = new MemoryBudget(budget);
  let isUp = () => {};
  const up = new Promise<void>((resolve) => {
    isUp = resolve;
  });
  const link = new RedisLink(library as never, {
    ...{ url: 'redis://test', channel: 'c', prefix: 'p:', queues },
    onUp: async () => isUp(),
    onDown: (reason) => down.push(reason),
    onMessage: () => {},
  });
  link.start();
  await up;
  return { link, asked, down, queues };
}

it('is silent where nothing at all is answered, and not where one answer of many takes long', async () => {
  const { link, asked, down } = await stand();
  const answers = [1, 2, 3].map(() => link.run('rooms'));
  for (const { answer } of asked.slice(0, 2)) {
    await vi.advanceTimersByTimeAsync(2500);
    answer();
  }
  await vi.advanceTimersByTimeAsync(2500);
  expect(down).toEqual([]);
  expect(await Promise.all(answers.slice(0, 2))).toEqual(['done', 'done']);
  await vi.advanceTimersByTimeAsync(4000);
  expect(down).toEqual(['Redis does not answer']);
  link.close();
});

it('messages wait for those before them, and what is small and urgent does not wait for them', async () => {
  const { link, asked, queues } = await stand();
  const publish = () => link.run('publish', 'room', 'membership', 'user', 'x'.repeat(3 * 2 ** 20));
  const said = [publish(), publish()];
  void link.run('heartbeat', 'node');
  expect(asked.map(({ words }) => words.length)).toEqual([8, 5]);
  expect(queues.used).toBeGreaterThan(6 * 2 ** 20);
  asked[0]!.answer();
  await said[0];
  await vi.advanceTimersByTimeAsync(0);
  expect(asked.map(({ words }) => words.length)).toEqual([8, 5, 8]);
  for (const { answer } of asked) answer();
  await said[1];
  await vi.advanceTimersByTimeAsync(0);
  expect(queues.used).toBe(0);
  link.close();
});

it('what has no room in the budget is refused, and nothing was done', async () => {
  const { link, asked } = await stand(2 ** 20);
  await expect(link.run('publish', 'room', 'membership', 'user', 'x'.repeat(2 ** 20))).rejects.toMatchObject({
    constructor: BrokerError,
    fault: 'unavailable',
  });
  expect(asked).toEqual([]);
  link.close();
});
