// The body of a backend's answer that is no 101, moved to the client to its end and no further: what stands behind the
// end is not the client's.

import type { Socket } from 'node:net';
import { guarded } from '../base/guard.ts';
import { type Framing, followBody } from '../http/answer.ts';
import { asStream, type StreamConnection } from '../net/fd-connection.ts';
import type { HandshakeResponse } from '../upstream/handshake/upgrade.ts';

/** A backend that sends nothing for this long in the middle of its answer is given up. */
const STALLED_MS = 60_000;

/**
 * Moves the body; resolves when it has ended or can't be finished, and the backend's connection is closed by then. True
 * where the client has got all of it. Where nothing stands behind the body, `keep` gets the backend's connection in place of
 * its end, paused.
 */
export function passAnswer(
  answer: HandshakeResponse,
  framing: Framing,
  client: StreamConnection,
  keep: ((backend: Socket) => void) | null = null,
): Promise<boolean> {
  const { rest } = answer;
  const backend = asStream(answer.socket);
  const body = followBody(framing);
  return new Promise((resolve) => {
    let over = false;
    const settle = (whole: boolean, clean = false): void => {
      over = true;
      client.removeListener('drain', onDrain).removeListener('close', onClientGone);
      backend.removeListener('data', onData).removeListener('end', onEnd).removeListener('close', onClose);
      backend.setTimeout(0, onStalled);
      if (clean && keep !== null) keep(backend.pause());
      else backend.destroy();
      resolve(whole);
    };
    const onData = guarded(
      'upstream',
      (chunk: Buffer) => {
        const taken = body.take(chunk);
        if (typeof taken !== 'number') {
          settle(false);
          return;
        }
        if (taken > 0 && !client.write(chunk.subarray(0, taken))) backend.pause();
        if (body.done) settle(true, taken === chunk.length);
      },
      () => settle(false),
    );
    const onDrain = (): void => void backend.resume();
    const onClientGone = (): void => settle(false);
    const onEnd = (): void => settle(body.done || framing.kind === 'close');
    const onClose = (): void => settle(body.done);
    const onStalled = (): void => settle(false);
    client.on('drain', onDrain).once('close', onClientGone);
    backend.on('data', onData).once('end', onEnd).once('close', onClose);
    backend.setTimeout(STALLED_MS, onStalled);
    if (client.destroyed) {
      settle(false);
      return;
    }
    onData(rest);
    if (!over) backend.resume();
  });
}
