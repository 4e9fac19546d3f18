// All that sessions hold against one budget: who has to go when it is used up.
import { expect, it } from 'vitest';
import { MemoryBudget } from '../../../../src/base/memory-budget.ts';
import { type Holder, SessionMemory } from '../../../../src/websocket/connection/session-memory.ts';

const KIB = 1024;

function stand(limit: number) {
  const budget = new MemoryBudget(limit);
  const memory = new SessionMemory(budget);
  const gone: string[] = [];
  const client = (name: string) => {
    const holder = { settled: 0, giveUp: () => {} };
    const owe = (bytes: number) => {
      const before = holder.settled;
      holder.settled = bytes;
      memory.settle(holder as Holder, before);
    };
    holder.giveUp = () => {
      gone.push(name);
      owe(0);
    };
    return { owe };
  };
  return { budget, gone, client };
}

it('counts what is owed, and forgets what has gone out', () => {
  const { budget, client } = stand(1000);
  const [one, two] = [client('one'), client('two')];
  one.owe(300);
  two.owe(400);
  expect(budget.used).toBe(700);
  one.owe(0);
  expect(budget.used).toBe(400);
});

it('gives up whoever is owed most, until the rest fits', () => {
  const { budget, gone, client } = stand(1000 * KIB);
  const [small, large, larger, last] = ['small', 'large', 'larger', 'last'].map(client);
  small!.owe(10 * KIB);
  large!.owe(400 * KIB);
  larger!.owe(500 * KIB);
  expect(gone).toEqual([]);
  last!.owe(300 * KIB);
  expect(gone).toEqual(['larger']);
  expect(budget.used).toBe(710 * KIB);
  small!.owe(700 * KIB);
  expect(gone).toEqual(['larger', 'small']);
  expect(budget.exceeded).toBe(false);
});

it('where nobody is owed much, the one that would exceed it goes', () => {
  const { budget, gone, client } = stand(100 * KIB);
  for (let n = 0; n < 10; n++) client(`c${n}`).owe(10 * KIB);
  expect(gone).toEqual([]);
  client('straw').owe(1);
  expect(gone).toEqual(['straw']);
  expect(budget.used).toBe(100 * KIB);
});
