// Sends the exact bytes of a case through a gateway, and tells what came of them: the statuses that the client saw, what
// reached the backend, and whether the next client got its own answer.

import { connectRaw } from '../../support/raw.ts';
import { TEST_TIMEOUT_MS } from '../../support/test-timeout.ts';
import type { Canary } from './canary.ts';

export interface Case {
  /** Names the case in tests and in docs/security-comparison.md. */
  readonly name: string;
  /** Sent in one piece each; what comes after the first waits for an answer to what came before. */
  readonly bytes: string | readonly string[];
  /** What Upgate makes of it. */
  readonly want: Outcome;
  /** What it makes of it where node's server reads it, and that is something else. */
  readonly byNode?: Outcome;
  /** What it may make of it as well: how far a broken answer gets depends on the engine and on when it breaks. */
  readonly or?: readonly Outcome[];
  /** Fields of requests at the backend that matter here, in lower case. */
  readonly watch?: readonly string[];
  /** The gateway waits for more, and does not end the connection by itself. */
  readonly staysOpen?: true;
}

export interface Outcome {
  /** Statuses of the answers in their order; `open` where the gateway had not ended the connection at the last. */
  readonly answers: readonly (number | 'open' | 'garbage' | 'nothing')[];
  readonly reached: readonly string[];
  /** What another client got that asked next, where it was not its own answer. */
  readonly victim?: string;
}

/** Something that takes requests for a canary: Upgate, or another proxy. */
export interface Target {
  readonly port: number;
  readonly canary: Canary;
}

/** A client gives up on a connection on which nothing more comes: soon where that is what the case is about. */
export const SOON_MS = 1500;

let flushes = 0;

export async function attack(
  { port, canary }: Target,
  { bytes, watch, staysOpen }: Pick<Case, 'bytes' | 'watch' | 'staysOpen'>,
  patienceMs = staysOpen ? SOON_MS : TEST_TIMEOUT_MS,
): Promise<Outcome> {
  canary.take();
  const pieces = typeof bytes === 'string' ? [bytes] : bytes;
  const client = await connectRaw(port);
  let open = false;
  for (const [i, piece] of pieces.entries()) {
    client.write(Buffer.from(piece, 'latin1'));
    const before = client.received().length;
    if (i < pieces.length - 1) await client.until((all) => all.length > before, patienceMs).catch(() => {});
  }
  const tunnel = () => /^HTTP\/1\.1 101 /m.test(client.received().toString('latin1'));
  const ended = client.closed(patienceMs).then(
    () => true,
    () => false,
  );
  const opened = client.until(tunnel, patienceMs).then(
    () => true,
    () => false,
  );
  if (await Promise.race([ended, opened.then((is) => (is ? false : ended))])) {
    client.end();
  } else {
    open = !tunnel();
    client.end();
    await client.closed().catch(() => {});
  }
  client.socket.destroy();
  const answers = statusesOf(client.received().toString('latin1'), pieces.join('').startsWith('HEAD '));
  const victim = await flush(port);
  const reached = canary.take(watch).filter((line) => !line.startsWith('GET /public/next-client'));
  const got = open ? [...answers, 'open' as const] : answers;
  return { answers: got.length === 0 ? ['nothing'] : got, reached, ...(victim === null ? {} : { victim }) };
}

/** The next client asks, which also lets everything arrive that was sent before; what it got where that is not its own. */
async function flush(port: number): Promise<string | null> {
  const target = `/public/next-client-${++flushes}`;
  const client = await connectRaw(port);
  client.write(`GET ${target} HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n`);
  const { bytes } = await client.closed().catch(() => ({ bytes: client.received() }));
  client.socket.destroy();
  const text = bytes.toString('latin1');
  if (text.startsWith('HTTP/1.1 200 ') && text.endsWith(`answer to GET ${target}`)) return null;
  return text.slice(0, 300);
}

/** The statuses of the answers in the text, read one behind the other. */
function statusesOf(text: string, head = false): (number | 'garbage')[] {
  const statuses: (number | 'garbage')[] = [];
  let rest = text;
  while (rest !== '') {
    const found = /^HTTP\/1\.[01] (\d{3})(?: [^\r\n]*)?\r\n([\s\S]*?\r\n)??\r\n/.exec(rest);
    if (!found) return [...statuses, 'garbage'];
    const status = Number(found[1]);
    statuses.push(status);
    if (status === 101) return statuses;
    rest = rest.slice(found[0].length);
    if (status < 200 || status === 204 || status === 304 || (head && statuses.length === 1)) continue;
    const fields = found[2] ?? '';
    const length = /^content-length: *(\d+)/im.exec(fields)?.[1];
    if (length !== undefined) rest = rest.slice(Number(length));
    else if (/^transfer-encoding: *chunked/im.test(fields)) rest = behindChunks(rest);
    else rest = '';
  }
  return statuses;
}

function behindChunks(text: string): string {
  let rest = text;
  for (;;) {
    const size = /^([0-9a-f]+)[^\r\n]*\r\n/i.exec(rest);
    if (!size) return rest;
    const length = Number.parseInt(size[1]!, 16);
    rest = rest.slice(size[0].length + (length === 0 ? 0 : length + 2));
    if (length === 0) return rest.slice(rest.startsWith('\r\n') ? 2 : rest.indexOf('\r\n\r\n') + 4);
  }
}
