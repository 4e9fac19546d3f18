// Which request is the last one of its connection (RFC 9112 §9.3, §9.6): what a FIN behind it means depends on that. Pure.
import { wantsWebSocket } from '../../handshake/handshake.ts';
import { followBody } from '../../http/answer.ts';
import { listHas } from '../../http/fields.ts';
import { requestFraming } from '../../http/head.ts';
import { type ReceivedRequest, RequestReader } from '../../http/request-reader.ts';

/** Whether a request says so, or is of a version that does not say otherwise. */
export function isLastRequest(head: ReceivedRequest): boolean {
  if (listHas(head, 'connection', 'close')) return true;
  return head.version === '1.0' && !listHas(head, 'connection', 'keep-alive');
}

/** Whether no parser of requests reads on behind it: what stands there is of another protocol. */
export function leavesHttp(head: ReceivedRequest): boolean {
  return head.method === 'CONNECT' || wantsWebSocket(head);
}

/** Whether these bytes are whole requests of which the newest is the last one; `largest`: bytes of a head. */
export function endsWithLastRequest(bytes: Buffer, largest: number): boolean {
  const reader = new RequestReader(largest);
  let rest = bytes;
  while (rest.length > 0) {
    const start = reader.take(rest);
    if (start === null || 'fault' in start || leavesHttp(start.head)) return false;
    const framing = requestFraming(start.head);
    if ('fault' in framing) return false;
    const body = followBody(framing);
    const behind = rest.subarray(start.taken);
    const taken = body.take(behind);
    if (typeof taken !== 'number' || !body.done) return false;
    // What stands behind it is read no more.
    if (isLastRequest(start.head)) return true;
    rest = behind.subarray(taken);
  }
  return false;
}
