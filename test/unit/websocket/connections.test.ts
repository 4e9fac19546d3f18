// The connections of a process, by id.
import { expect, it } from 'vitest';
import { Connections, type Reachable } from '../../../src/websocket/connections.ts';

const connection = (): Reachable => ({
  describe: () => {
    throw new Error('nobody asks');
  },
  send: () => true,
  close() {},
});

it('finds each by its id, from its coming to its leaving', () => {
  const connections = new Connections();
  const [first, second] = [connection(), connection()];
  connections.add('1', first);
  connections.add('2', second);
  expect([connections.get('1'), connections.get('2'), connections.get('3')]).toEqual([first, second, undefined]);
  connections.remove('1', first);
  connections.remove('1', first);
  expect([connections.get('1'), connections.get('2')]).toEqual([undefined, second]);
});

it('only the one that stands under an id leaves it', () => {
  const connections = new Connections();
  const [first, other] = [connection(), connection()];
  connections.add('1', first);
  connections.remove('1', other);
  expect(connections.get('1')).toBe(first);
});
