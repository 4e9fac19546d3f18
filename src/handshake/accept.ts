// The server's side of the opening handshake (RFC 6455 §4.2.2): the accept key, the fields of a 101, and the judgement of
// a backend's 101, which must be as strict as a client's own (§4.1): a tunnel to a backend that never agreed to one
// would let a client smuggle requests into it. Pure.
import { hash } from 'node:crypto';
import type { AnswerHead } from '../http/answer.ts';
import { listHas, valuesOf } from '../http/fields.ts';
import type { Fault } from '../http/target.ts';
import { readExtensions } from './extensions.ts';
import type { Handshake } from './handshake.ts';
import { isRejection } from './rejection.ts';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** Sec-WebSocket-Accept for a client's key. */
export function acceptKey(key: string): string {
  return hash('sha1', key + GUID, 'base64');
}

/** The subprotocol a valid 101 chose, or what is wrong with it. Any casing and any reason phrase will do. */
export function checkUpgradeResponse(
  answer: AnswerHead,
  { key, offer, extensions }: Pick<Handshake, 'key' | 'offer' | 'extensions'>,
): { subprotocol: string | null } | Fault {
  if (answer.version !== '1.1') return { fault: 'the 101 is not HTTP/1.1' };
  if (!listHas(answer, 'upgrade', 'websocket')) return { fault: 'the 101 has no Upgrade: websocket' };
  if (!listHas(answer, 'connection', 'upgrade')) return { fault: 'the 101 has no Connection: Upgrade' };
  const accepts = valuesOf(answer, 'sec-websocket-accept');
  if (accepts.length !== 1 || accepts[0] !== acceptKey(key))
    return { fault: 'Sec-WebSocket-Accept does not fit the key' };
  const chosen = valuesOf(answer, 'sec-websocket-protocol');
  if (chosen.length > 1) return { fault: 'the 101 chooses more than one subprotocol' };
  // Kubernetes sends an empty one where none is chosen.
  const subprotocol = chosen[0] || null;
  if (subprotocol !== null && !offer.includes(subprotocol))
    return { fault: 'the 101 chooses a subprotocol that was not offered' };
  const agreed = readExtensions(answer);
  if (isRejection(agreed)) return { fault: `the 101: ${agreed.detail}` };
  const unasked = agreed.find(({ name }) => !extensions.some((offered) => offered.name === name));
  if (unasked !== undefined) return { fault: `the 101 agrees to the extension ${unasked.name}, which was not offered` };
  return { subprotocol };
}
