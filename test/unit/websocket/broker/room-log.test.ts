// What a room of one process keeps: by count, age and bytes, and whether what is asked for is whole.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { MemoryBudget } from '../../../../src/base/memory-budget.ts';
import { compareIds, isMessageId } from '../../../../src/websocket/broker/broker.ts';
import { RoomLog } from '../../../../src/websocket/broker/room-log.ts';

const RETENTION = { count: 3, age: 1000 };
const budget = () => new MemoryBudget(2 ** 30);
const END = '999999999999999-0';

function logWith(count: number, at = (n: number) => 100 + n) {
  const log = new RoomLog(RETENTION, 100, budget());
  const start = log.last;
  const ids = Array.from({ length: count }, (_, n) => log.append({ user: 'u', data: `${n}` }, at(n)).id);
  return { log, start, ids };
}

const data = ({ messages }: { messages: readonly { data: string }[] }) => messages.map((message) => message.data);

describe('ids', () => {
  it('grow, also within a millisecond and while the clock goes back', () => {
    const { ids } = logWith(5, (n) => [100, 100, 105, 90, 106][n]!);
    expect(ids).toEqual(['100-1', '100-2', '105-0', '105-1', '106-0']);
    expect([...ids].sort(compareIds)).toEqual(ids);
  });

  it.each(['1-0', '1795215259470-12'])('%s is one', (id) => expect(isMessageId(id)).toBe(true));
  it.each(['', '1', '1-', '-1', 'a-b', '1-0 ', '1-0-0', '9999999999999999-0'])('%s is none', (id) =>
    expect(isMessageId(id)).toBe(false),
  );
});

describe('reading behind an id', () => {
  it('gives exactly what came after, in order', () => {
    const { log, ids, start } = logWith(3);
    expect(log.read({ after: start, until: END }, 110)).toMatchObject({ complete: true });
    expect(data(log.read({ after: start, until: END }, 110))).toEqual(['0', '1', '2']);
    expect(data(log.read({ after: ids[1]!, until: END }, 110))).toEqual(['2']);
    expect(log.read({ after: ids[2]!, until: END }, 110)).toEqual({ messages: [], complete: true });
    expect(data(log.read({ after: start, until: ids[1]! }, 110))).toEqual(['0', '1']);
  });

  it('is whole while the very next message is still there, and no longer', () => {
    const { log, ids, start } = logWith(4);
    expect(log.read({ after: ids[0]!, until: END }, 110).complete).toBe(true);
    expect(log.read({ after: start, until: END }, 110).complete).toBe(false);
  });

  it('an id of the future is of another log', () => {
    expect(logWith(1).log.read({ after: '200-0', until: END }, 110).complete).toBe(false);
  });

  it('what is too old is gone', () => {
    const { log, ids, start } = logWith(2);
    expect(data(log.read({ after: ids[0]!, until: END }, 1100))).toEqual(['1']);
    expect(log.read({ after: start, until: END }, 1101)).toMatchObject({ complete: false });
    expect(log.read({ after: ids[1]!, until: END }, 9000)).toEqual({ messages: [], complete: true });
    expect(log.bytes).toBe(0);
  });
});

describe('reading the last', () => {
  it('gives at most so many, and says whether there were fewer', () => {
    const { log, ids } = logWith(3);
    expect(data(log.read({ count: 2, until: END }, 110))).toEqual(['1', '2']);
    expect(log.read({ count: 4, until: END }, 110).complete).toBe(false);
    expect(data(log.read({ count: 2, until: ids[1]! }, 110))).toEqual(['0', '1']);
    expect(log.read({ count: 0, until: END }, 110)).toEqual({ messages: [], complete: true });
  });
});

it('keeps at most 4 MiB, whatever the count', () => {
  const log = new RoomLog({ count: 10_000, age: 1e9 }, 0, budget());
  for (let n = 0; n < 20; n++) log.append({ user: null, data: 'x'.repeat(512 * 1024) }, n + 1);
  expect(log.bytes).toBeLessThanOrEqual(4 * 1024 * 1024);
  expect(log.read({ count: 100, until: END }, 30).messages).toHaveLength(7);
});

it('keeps nothing where nothing is to be kept, and ids go on', () => {
  const log = new RoomLog({ count: 0, age: 1000 }, 1, budget());
  const { id } = log.append({ user: null, data: '1' }, 2);
  expect(log.last).toBe(id);
  expect(log.read({ after: id, until: END }, 3)).toEqual({ messages: [], complete: true });
  expect(log.bytes).toBe(0);
});

it('does not hold in memory what it has let go of', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  const before = process.memoryUsage().heapUsed;
  const log = new RoomLog({ count: 100, age: 1e9 }, 0, budget());
  for (let n = 0; n < 63; n++) log.append({ user: null, data: Buffer.alloc(2 ** 20, 'x').toString('latin1') }, n + 1);
  collect();
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(16 * 2 ** 20);
  expect(log.bytes).toBeLessThanOrEqual(4 * 2 ** 20);
});
