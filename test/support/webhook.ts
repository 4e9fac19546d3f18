// A REST backend for the handler `webhook`: it keeps every event it was sent, and answers as the test says.
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { TEST_TIMEOUT_MS } from './test-timeout.ts';

export interface SentEvent {
  readonly method: string;
  readonly target: string;
  readonly fields: IncomingHttpHeaders;
  readonly body: Buffer;
  /** `ce-eventName`. */
  readonly name: string;
}

/** What is answered; undefined: 204. */
export interface EventAnswer {
  readonly status?: number;
  readonly fields?: Record<string, string | string[]>;
  readonly body?: string | Buffer;
}

/** Answers an event; `res` is for those that answer in ways of their own and return null. */
export type Answering = (
  event: SentEvent,
  res: ServerResponse,
) => EventAnswer | undefined | null | Promise<EventAnswer | undefined | null>;

export interface WebhookServer {
  readonly port: number;
  /** Every event so far, each attempt counted. */
  readonly events: readonly SentEvent[];
  /** The names of the events so far. */
  names(): string[];
  /** Waits for the n-th event (from 0) of a name, among those wanted. */
  event(name: string, wanted?: (event: SentEvent) => boolean, index?: number): Promise<SentEvent>;
  /** From now on. */
  answer(answering: Answering): void;
  close(): void;
}

export async function startWebhook(answering: Answering = () => undefined): Promise<WebhookServer> {
  const events: SentEvent[] = [];
  const waiting = new Set<() => void>();
  let current = answering;
  const server = createServer(async (req, res) => {
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk as Buffer);
    const { method = '', url: target = '', headers: fields } = req;
    const event = { method, target, fields, body: Buffer.concat(chunks), name: String(fields['ce-eventname']) };
    events.push(event);
    for (const look of waiting) look();
    const answer = await current(event, res);
    if (answer === null) return;
    const { status = answer?.body === undefined ? 204 : 200, body, fields: sent = {} } = answer ?? {};
    res.writeHead(status, sent).end(body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    events,
    names: () => events.map(({ name }) => name),
    event: (name, wanted = () => true, index = 0) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          waiting.delete(look);
          reject(new Error(`no ${name} ${index}; there were ${events.map((event) => event.name).join(', ')}`));
        }, TEST_TIMEOUT_MS);
        const look = (): void => {
          const found = events.filter((event) => event.name === name && wanted(event))[index];
          if (found === undefined) return;
          clearTimeout(timer);
          waiting.delete(look);
          resolve(found);
        };
        waiting.add(look);
        look();
      }),
    answer: (next) => {
      current = next;
    },
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
