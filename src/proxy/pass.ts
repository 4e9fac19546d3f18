// The body of a backend's answer that is no 101, moved to the client to its end and no further: what stands behind the
// end is not the client's.

import type { Socket } from 'node:net';
import { guarded } from '../base/guard.ts';
import { type Framing, followBody } from '../http/answer.ts';
import { asSocket } from '../net/fd-connection.ts';
import type { Answer } from '../upstream/handshake/upgrade.ts';

/** A backend that sends nothing for this long in the middle of its answer is given up. */
const STALLED_MS = 60_000;

/**
 * Moves the body; resolves when it has ended or can't be finished, and the backend's connection is gone by then. True
 * where the client has got all of it.
 */
export function passAnswer(answer: Answer, framing: Framing, client: Socket): Promise<boolean> {
  const { rest } = answer;
  const backend = asSocket(answer.socket);
  const body = followBody(framing);
  return new Promise((resolve) => {
    const settle = (whole: boolean): void => {
      client.removeListener('drain', onDrain).removeListener('close', onClientGone);
      backend.removeListener('data', onData).destroy();
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
        if (body.done) settle(true);
      },
      () => settle(false),
    );
    const onDrain = (): void => void backend.resume();
    const onClientGone = (): void => settle(false);
    client.on('drain', onDrain).once('close', onClientGone);
    backend.once('end', () => settle(body.done || framing.kind === 'close'));
    backend.once('close', () => settle(body.done));
    backend.setTimeout(STALLED_MS, () => settle(false));
    backend.on('data', onData);
    if (client.destroyed) {
      settle(false);
      return;
    }
    onData(rest);
    if (!backend.destroyed) backend.resume();
  });
}
