// The `ws` client, with its messages and its end as promises. Not for exact bytes: that is raw.ts.
import type { IncomingMessage } from 'node:http';
import WebSocket, { type ClientOptions } from 'ws';
import { TEST_TIMEOUT_MS } from './test-timeout.ts';

export interface Client {
  readonly socket: WebSocket;
  /** Every message so far; text as string, binary as bytes. */
  readonly messages: readonly (string | Buffer)[];
  /** The next message that this has not given yet; rejects when the connection ends before. */
  next(timeoutMs?: number): Promise<string | Buffer>;
  /** Starts the closing handshake and waits for the end. */
  close(code?: number, reason?: string): Promise<{ code: number; reason: string }>;
  /** The end: the code and reason as `ws` tells them, 1006 where there was no Close. */
  readonly closed: Promise<{ code: number; reason: string }>;
  /** The fields of the 101. */
  readonly response: IncomingMessage;
}

/** Opens a connection; rejects with the status, the fields and the body of a refusal. */
export async function openClient(url: string, options: ClientOptions & { protocols?: string[] } = {}): Promise<Client> {
  const { protocols = [], ...rest } = options;
  const socket = new WebSocket(url, protocols, rest);
  const messages: (string | Buffer)[] = [];
  let taken = 0;
  socket.on('message', (data, binary) => {
    messages.push(binary ? (data as Buffer) : data.toString());
    socket.emit('kept');
  });
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() }));
  });
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    socket.once('upgrade', (message) => socket.once('open', () => resolve(message)));
    socket.once('unexpected-response', (_, answer) => void readRefusal(answer).then(reject, reject));
    socket.once('error', reject);
  });
  // An end without a Close is an error to ws; `closed` tells it.
  socket.on('error', () => {});
  const next = (timeoutMs = TEST_TIMEOUT_MS) =>
    new Promise<string | Buffer>((resolve, reject) => {
      const settle = (act: () => void) => {
        clearTimeout(timer);
        socket.off('kept', look);
        act();
      };
      const timer = setTimeout(() => settle(() => reject(new Error(`no message ${taken} in time`))), timeoutMs);
      const look = () => {
        const message = messages[taken];
        if (message === undefined) return false;
        taken++;
        settle(() => resolve(message));
        return true;
      };
      if (look()) return;
      socket.on('kept', look);
      void closed.then(({ code }) => settle(() => reject(new Error(`closed with ${code} before message ${taken}`))));
    });
  return {
    socket,
    messages,
    next,
    closed,
    response,
    close: (code = 1000, reason = '') => {
      socket.close(code, reason);
      return closed;
    },
  };
}

/** An HTTP answer to a handshake that is not its 101. */
export class Refusal extends Error {
  readonly status: number;
  readonly fields: IncomingMessage['headers'];
  readonly body: string;

  constructor(answer: IncomingMessage, body: string) {
    super(`refused with ${answer.statusCode}: ${body}`);
    this.status = answer.statusCode ?? 0;
    this.fields = answer.headers;
    this.body = body;
  }
}

async function readRefusal(answer: IncomingMessage): Promise<Refusal> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  return new Refusal(answer, Buffer.concat(chunks).toString());
}

/** Opens a connection that must be refused, and gives the answer. */
export async function openRefused(
  url: string,
  options: ClientOptions & { protocols?: string[] } = {},
): Promise<Refusal> {
  const outcome = await openClient(url, options).catch((error: unknown) => error);
  if (outcome instanceof Refusal) return outcome;
  if (outcome instanceof Error) throw outcome;
  (outcome as Client).socket.terminate();
  throw new Error(`${url} was not refused`);
}
