// The requests of one connection by our reader, piece by piece, as the connection drives it.
import { type BodyCursor, followBody } from '../../src/http/answer.ts';
import { listHas } from '../../src/http/fields.ts';
import { readRequest, requestFraming } from '../../src/http/head.ts';
import { type ReceivedRequest, RequestReader } from '../../src/http/request-reader.ts';
import type { ReadRequest, ReadRequests } from './llhttp.ts';

export const LARGEST_HEAD = 16 * 1024;

/** Whether no request follows it on its connection. */
function isLast(head: ReceivedRequest): boolean {
  if (head.method === 'CONNECT') return true;
  if (head.names.includes('upgrade') && listHas(head, 'connection', 'upgrade')) return true;
  if (listHas(head, 'connection', 'close')) return true;
  return head.version === '1.0' && !listHas(head, 'connection', 'keep-alive');
}

/** What our reader makes of the pieces; `fault` says why it refused. */
export function readByOurs(pieces: readonly Buffer[], largest = LARGEST_HEAD): ReadRequests & { fault?: string } {
  const reader = new RequestReader(largest);
  const requests: ReadRequest[] = [];
  let body: BodyCursor | null = null;
  let last = false;
  for (const piece of pieces) {
    let bytes = piece;
    while (bytes.length > 0) {
      if (body === null) {
        if (last) return { requests, end: 'over' };
        const start = reader.take(bytes);
        if (start === null) break;
        if ('fault' in start) return { requests, end: 'refused', fault: start.fault };
        const { head, taken } = start;
        const judged = readRequest({ ...head, secure: false, peer: '' });
        if ('fault' in judged) return { requests, end: 'refused', fault: judged.fault };
        const { method, target, version, fields } = head;
        requests.push({ method, target, version, fields, content: '', trailers: [], complete: false });
        const framing = requestFraming(head);
        if ('fault' in framing) throw new Error('what is judged to be sound is framed');
        body = followBody(framing);
        last = isLast(head);
        bytes = bytes.subarray(taken);
      }
      const request = requests[requests.length - 1] as ReadRequest;
      const taken: ReturnType<BodyCursor['take']> = body.take(bytes, (part) => {
        request.content += part.toString('latin1');
      });
      if (typeof taken !== 'number') return { requests, end: 'refused', fault: taken.fault };
      bytes = bytes.subarray(taken);
      if (!body.done) continue;
      Object.assign(request, { complete: true, trailers: body.trailers });
      body = null;
    }
  }
  return { requests, end: last && body === null ? 'over' : 'open' };
}

/** The same bytes, an octet a piece. */
export const octetsOf = (bytes: Buffer): Buffer[] => Array.from(bytes, (octet) => Buffer.from([octet]));
