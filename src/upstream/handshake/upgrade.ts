// A handshake with one server: the rebuilt request goes out, the head of the answer comes back, strictly read. What the
// answer means is judged by the caller; bytes behind the head are handed over untouched.

import type { Socket } from 'node:net';
import { guarded } from '../../base/guard.ts';
import { GatewayError } from '../../errors.ts';
import type { AnswerHead } from '../../http/answer.ts';
import { AnswerReader } from '../../http/answer-reader.ts';
import type { ClientClosed } from '../../net/client-closed.ts';
import { dial, upstreamError } from '../../net/dial.ts';
import type { Endpoint } from '../../net/endpoint.ts';
import type { FdConnection } from '../../net/fd-connection.ts';

/** A server's final answer to a handshake; its connection is paused. */
export interface HandshakeResponse {
  readonly socket: Socket | FdConnection;
  readonly head: AnswerHead;
  /** What was read behind the head. */
  readonly rest: Buffer;
  /** How long the connection took, in milliseconds. */
  readonly connectMs: number;
}

export interface UpgradeTimeouts {
  readonly connect: number;
  readonly handshake: number;
}

/** What is asked of a server, and until when. */
export interface HandshakeRequest {
  /** What the connection begins with, before TLS; null: nothing. */
  readonly preamble: Buffer | null;
  readonly handshake: string;
  readonly timeouts: UpgradeTimeouts;
  readonly clientClosed: ClientClosed;
}

/**
 * Sends a handshake to a server and reads the head of its final answer; interim answers (1xx other than 101) are
 * skipped. Rejects with a GatewayError: `backend_refused`, `backend_timeout`, `bad_accept` for what is no HTTP,
 * `limit`, `client_gone`. Where it rejects, nothing of the connection is left.
 */
export async function requestUpgrade(
  server: Endpoint,
  asking: HandshakeRequest,
): Promise<HandshakeResponse & { readonly socket: Socket }> {
  const { preamble, timeouts, clientClosed } = asking;
  const started = performance.now();
  const socket = await dial(server, timeouts.connect, clientClosed, preamble);
  const connectMs = performance.now() - started;
  return { ...(await requestUpgradeOn(socket, server, asking)), connectMs };
}

/** The same on a connection that stands, and is paused. */
export async function requestUpgradeOn(
  socket: Socket,
  server: Endpoint,
  { handshake, timeouts, clientClosed }: HandshakeRequest,
): Promise<HandshakeResponse & { readonly socket: Socket }> {
  socket.write(handshake, 'latin1');
  const { head, rest } = await readAnswer(socket, server, timeouts.handshake, clientClosed);
  return { socket, head, rest, connectMs: 0 };
}

function readAnswer(
  socket: Socket,
  server: Endpoint,
  timeoutMs: number,
  clientClosed: ClientClosed,
): Promise<{ head: AnswerHead; rest: Buffer }> {
  return new Promise((resolve, reject) => {
    const reader = new AnswerReader();
    const settle = (error: GatewayError | null): void => {
      clearTimeout(timer);
      clientClosed.onClosed(null);
      socket.removeListener('data', onData).removeListener('end', onEnd).removeListener('error', onError).pause();
      if (error === null) return;
      socket.destroy();
      reject(error);
    };
    const broken = (): void => settle(new GatewayError('internal', `reading the answer of ${server.url} broke`));
    const onData = guarded(
      'upstream',
      (chunk: Buffer) => {
        const read = reader.take(chunk);
        if (read === null) return;
        settle('fault' in read ? new GatewayError('bad_accept', `${server.url}: ${read.fault}`) : null);
        if ('head' in read) resolve(read);
      },
      broken,
    );
    const onEnd = (): void =>
      settle(new GatewayError('backend_refused', `${server.url} ended the connection before its answer`));
    const onError = (error: Error): void => settle(upstreamError(error, `reading from ${server.url}`));
    const onGone = (): void => settle(new GatewayError('client_gone', 'the client left'));
    const timer = setTimeout(
      () => settle(new GatewayError('backend_timeout', `no answer from ${server.url} within ${timeoutMs} ms`)),
      timeoutMs,
    );
    if (clientClosed.closed) {
      onGone();
      return;
    }
    clientClosed.onClosed(onGone);
    socket.on('data', onData).once('end', onEnd).once('error', onError).resume();
  });
}
