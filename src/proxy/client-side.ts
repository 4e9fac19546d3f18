// Writes through node's ServerResponse what it would change by itself: the octets of a head, interim answers as they came,
// and the end of a connection that must not look like the end of an answer.
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { isPhrase } from './framing.ts';

/** Node's own writeEarlyHints knows neither repeated fields nor fields without Link. */
export function writeInterim(res: ServerResponse, status: string, fields: readonly string[]): void {
  const { socket } = res;
  // Interim answers may be dropped: one that would overtake an earlier answer, or pile up before a client that doesn't
  // read.
  if (socket === null || !socket.writable || socket.writableNeedDrain || !isPhrase(status)) return;
  let head = `HTTP/1.1 ${status}\r\n`;
  for (let i = 0; i < fields.length; i += 2) head += `${fields[i]}: ${fields[i + 1]}\r\n`;
  socket.write(`${head}\r\n`, 'latin1');
}

/**
 * For a connection on which node's outgoing messages write: a head that leaves before there is a body (`flushHeaders`,
 * `Expect`) would be written as UTF-8. Bodies are given as octets.
 */
export function writeOctets(socket: Socket): void {
  socket.setDefaultEncoding('latin1');
}

/** Up to this many bytes copying a part into the head's text is cheaper than writing both side by side. */
const SMALL = 16 * 1024;

/** Ends an answer with its last part, if there is one; a small answer leaves by one write. */
export function endWith(res: ServerResponse, last: Buffer | null): void {
  const { socket } = res;
  if (last === null) return void res.end();
  if (socket === null || last.length > SMALL) return void res.end(last);
  // node puts text behind its head, and would add an empty write for the end; corked by us, and written at once, what is
  // left for the end is nothing.
  socket.cork();
  res.write(last.toString('latin1'), 'latin1');
  socket.uncork();
  res.end();
}

/** Breaks the client's connection off so that it can't take what it got for a whole answer. */
export function cut(res: ServerResponse, untilClose: boolean): void {
  const { socket } = res;
  if (!untilClose || socket === null) return void res.destroy();
  try {
    // Where the end of the connection is the end of the body, a FIN would be a lie.
    socket.resetAndDestroy();
  } catch {
    // TLS and unix sockets know no RST; a TLS client sees that no close_notify came.
    socket.destroy();
  }
}

/** How long the kernel has for what it was given: a RST throws the rest away, and it does not say when it is done. */
const KERNEL_MS = 1000;

/**
 * The same behind what has come of the answer: that is written first, for as long as the client takes it, `most`
 * milliseconds at most. Resolves once the connection is broken off.
 */
export function cutBehind(res: ServerResponse, untilClose: boolean, most: number): Promise<void> {
  const { socket } = res;
  if (socket === null || socket.destroyed) {
    cut(res, untilClose);
    return Promise.resolve();
  }
  return new Promise((resolve) => {
    const settle = (): void => {
      clearTimeout(timer);
      socket.off('close', settle);
      cut(res, untilClose);
      resolve();
    };
    let timer = setTimeout(settle, most);
    socket.once('close', settle);
    res.flushHeaders();
    // Called when all that stands before it has been given to the kernel.
    socket.write('', () => {
      if (!untilClose) return settle();
      clearTimeout(timer);
      timer = setTimeout(settle, KERNEL_MS);
    });
  });
}
