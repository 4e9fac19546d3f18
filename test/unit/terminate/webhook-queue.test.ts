// What waits for a webhook backend, against the budget of all queues.
import { expect, it } from 'vitest';
import { MemoryBudget } from '../../../src/base/memory-budget.ts';
import type { SessionEnd } from '../../../src/events.ts';
import type { Admitted, HandshakeHook, Opening, WebSocketConnection } from '../../../src/websocket/handler.ts';
import { createWebhook } from '../../../src/websocket/webhook/webhook.ts';
import type { WebhookBackend } from '../../../src/websocket/webhook/webhook-backend.ts';

const END: SessionEnd = {
  ...{ fromClient: { bytes: 0, messages: 0 }, toClient: { bytes: 0, messages: 0 }, discarded: 0 },
  ...{ code: 1000, initiator: 'client', reason: 'closed', cut: false },
};
const settled = () => new Promise((resolve) => setImmediate(resolve));

/** A route whose backend answers when the test says. */
function stand(limit: number) {
  const queues = new MemoryBudget(limit);
  const answers: (() => void)[] = [];
  const did: string[] = [];
  const reply = { status: 204, phrase: 'No Content', fields: [], body: Buffer.alloc(0) };
  const ask = () =>
    new Promise((resolve) => answers.push(() => resolve({ reply, at: { upstream: 'u', server: 's' } })));
  const handler: HandshakeHook = createWebhook({
    route: 'r',
    config: { events: ['message', 'disconnected'], queue: 16 },
    backend: { crowded: false, ask } as unknown as WebhookBackend,
    queues,
  });
  const opening = { id: 'c', client: { id: 'r' }, request: { host: 'h' }, principal: null, protocol: null };
  const admitted = handler.admit(opening as unknown as Opening) as Admitted;
  const connection: WebSocketConnection = {
    id: 'c',
    send: () => true,
    sendPrepared: () => true,
    hold: () => {},
    pause: () => void did.push('pause'),
    resume: () => void did.push('resume'),
    close: (code, reason) => void did.push(`${code} ${reason}`),
  };
  return { queues, answers, did, conversation: admitted.open(connection) };
}

it('counts while it waits and while it is answered, and no longer', async () => {
  const { queues, answers, conversation } = stand(2 ** 20);
  for (let n = 0; n < 2; n++) conversation.message('text', Buffer.alloc(1000));
  expect(queues.used).toBe(2 * 2024);
  answers[0]!();
  await settled();
  expect(queues.used).toBe(2024);
  answers[1]!();
  await settled();
  expect(queues.used).toBe(0);
});

it('more than half full: a client is not read from while anything of it waits; full: it is closed with 1013', async () => {
  const { queues, answers, did, conversation } = stand(10_000);
  queues.add(4000);
  conversation.message('text', Buffer.alloc(1000));
  expect(did).toEqual(['pause']);
  conversation.message('text', Buffer.alloc(1000));
  conversation.message('text', Buffer.alloc(1000));
  expect(did).toEqual(['pause', '1013 queues_full']);
  // What is behind it is dropped, and the backend is told of the end.
  conversation.message('text', Buffer.alloc(1));
  conversation.closed(END);
  for (let n = 0; n < 2; n++) {
    answers[n]!();
    await settled();
  }
  expect(answers).toHaveLength(2);
  expect(queues.used).toBe(4000);
});
