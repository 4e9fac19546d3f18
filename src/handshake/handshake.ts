// The client's opening handshake (RFC 6455 §4.2.1): whether a request is one, and reading it. Pure. Which Origin and
// which subprotocol may pass is origin.ts and subprotocol.ts.
import { type FieldSection, listHas, valuesOf } from '../http/fields.ts';
import type { RequestHead } from '../http/head.ts';
import { type Extension, readExtensions } from './extensions.ts';
import { isRejection, type Rejection, reject, rejectVersion, versionList } from './rejection.ts';
import { readOffer } from './subprotocol.ts';

/** 13 is RFC 6455; 8 is draft-ietf-hybi-thewebsocketprotocol-10, which is the same but for the name of its Origin field. */
export type Version = 13 | 8;

/** A valid handshake, before Origin and subprotocols are judged. */
export interface Handshake {
  /** Sec-WebSocket-Key, trimmed. */
  readonly key: string;
  readonly version: Version;
  /** Origin as the client wrote it; null where there is none. */
  readonly origin: string | null;
  /** The subprotocols offered, in the client's order. */
  readonly offer: readonly string[];
  /** The extensions offered, in the client's order. */
  readonly extensions: readonly Extension[];
}

/** Whether the client asks for a WebSocket: `websocket` in Upgrade and `upgrade` in Connection, over all their lines. */
export function wantsWebSocket(head: FieldSection): boolean {
  return listHas(head, 'upgrade', 'websocket') && listHas(head, 'connection', 'upgrade');
}

const KEY = /^[A-Za-z0-9+/]{22}==$/;
const VERSION = /^(?:0|[1-9][0-9]{0,2})$/;

/** Reads a handshake by RFC 6455 §4.2.1, or says why it is none. `versions` are those the route speaks. */
export function readHandshake(head: RequestHead, versions: readonly Version[]): Handshake | Rejection {
  if (head.method !== 'GET') return reject('method');
  if (head.version !== '1.1') return reject('malformed', 'a handshake is HTTP/1.1');
  if (hasBody(head)) return reject('malformed', 'a handshake has no body');
  const keys = valuesOf(head, 'sec-websocket-key');
  const key = keys[0];
  if (key === undefined || keys.length > 1 || !KEY.test(key)) return reject('key');
  const version = readVersion(head, versions);
  if (typeof version !== 'number') return version;
  // Version 8 (draft 10 of the protocol) names the field Sec-WebSocket-Origin.
  const origins = valuesOf(head, version === 8 ? 'sec-websocket-origin' : 'origin');
  const offer = readOffer(head);
  if (isRejection(offer)) return offer;
  const extensions = readExtensions(head);
  if (isRejection(extensions)) return extensions;
  return { key, version, origin: origins[0] ?? null, offer, extensions };
}

function hasBody(head: RequestHead): boolean {
  return (
    head.names.includes('transfer-encoding') || valuesOf(head, 'content-length').some((length) => /[^0]/.test(length))
  );
}

function readVersion(head: RequestHead, spoken: readonly Version[]): Version | Rejection {
  const texts = valuesOf(head, 'sec-websocket-version');
  const text = texts[0];
  if (text === undefined || texts.length > 1 || !VERSION.test(text)) {
    const listed = versionList(spoken);
    return reject('malformed', `Sec-WebSocket-Version must be there once, as a number: ${listed}`, [
      'Sec-WebSocket-Version',
      listed,
    ]);
  }
  return spoken.find((version) => version === Number(text)) ?? rejectVersion(spoken);
}
