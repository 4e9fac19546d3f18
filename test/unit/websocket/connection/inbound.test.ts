// What a client may send, by the limits of its route.
import { expect, it } from 'vitest';
import { schema } from '../../../../src/config/schema/schema.ts';
import { Inbound } from '../../../../src/websocket/connection/inbound.ts';
import { buildFrame, MASK, OPCODE } from '../../../support/frames.ts';

it('100,000 messages a second are the most where the config says nothing', () => {
  const config = schema.parse({
    listeners: [{ port: 0 }],
    routes: [{ name: 'local', websocket: { mode: 'terminate', handler: 'echo' } }],
  });
  const limits = config.routes[0]!.websocket!.limits;
  const inbound = new Inbound({ ...limits, most_held: 1 });
  for (let n = 0; n < 100_000; n++) expect(inbound.count(1, 16, 0)).toBeNull();
  expect(inbound.count(1, 16, 0)).toBe('rate_limit');
  expect(inbound.count(1, 16, 1)).toBeNull();
});

it('empty fragments are messages to the limits, and a message may hold so much', () => {
  const inbound = new Inbound({ messages_per_second: 2, most_held: 100 });
  const begin = buildFrame({ opcode: OPCODE.text, payload: 'x', fin: false, mask: MASK });
  const empty = buildFrame({ opcode: OPCODE.continuation, payload: '', fin: false, mask: MASK });
  expect(inbound.chunk(Buffer.concat([begin, empty, empty]), 0)).toBeNull();
  expect(inbound.chunk(empty, 0)).toBe('rate_limit');
  expect(inbound.chunk(buildFrame({ opcode: OPCODE.pong, payload: 'x'.repeat(100), mask: MASK }), 0)).toBe(
    'too_many_parts',
  );
});
