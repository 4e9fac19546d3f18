// What happens on a connection as CloudEvents over HTTP in binary mode (CloudEvents 1.0, HTTP binding §3.1), with the
// attributes of Azure Web PubSub, so that what was written for that answers here too. And what a backend's answers mean.
// Pure but for the id and time of an event; sending is webhook-backend.ts.

import { isUtf8 } from 'node:buffer';
import { createHmac, randomUUID } from 'node:crypto';
import type { SessionEnd } from '../../events.ts';
import { type Claims, textOf } from '../../http/claims.ts';
import { lowerNames, valuesOf } from '../../http/fields.ts';
import { requestFields } from '../../http/policy/policy.ts';
import { parametersOf } from '../../http/query.ts';
import type { Reply } from '../../proxy/internal-client.ts';
import type { MessageType, Opening } from '../handler.ts';

export type EventName = 'connect' | 'connected' | 'message' | 'disconnected';

/** An event, ready to be sent. */
export interface CloudEvent {
  readonly name: EventName;
  /** `ce-id`, the same on every attempt. */
  readonly id: string;
  readonly connection: string;
  /** X-Request-Id of the handshake, for the log. */
  readonly request: string;
  readonly fields: readonly string[];
  readonly body: Buffer;
}

/** What the events of one connection have in common. */
export interface EventSource {
  readonly connection: string;
  /** X-Request-Id of its handshake. */
  readonly request: string;
  readonly hub: string;
  /** Host as the client wrote it. */
  readonly host: string;
  /** The value of `ce-signature`; null where there is no key. */
  readonly signature: string | null;
  readonly user: string | null;
  readonly subprotocol: string | null;
  /** `ce-connectionState`, as the backend last set it. */
  readonly state: string | null;
}

export interface Content {
  readonly type: string;
  readonly body: Buffer;
}

const TYPES: Readonly<Record<EventName, string>> = {
  connect: 'azure.webpubsub.sys.connect',
  connected: 'azure.webpubsub.sys.connected',
  message: 'azure.webpubsub.user.message',
  disconnected: 'azure.webpubsub.sys.disconnected',
};

const JSON_TYPE = 'application/json; charset=utf-8';

/** `ce-signature` of a connection: one HMAC for each key, so that keys can be rotated. */
export function sign(keys: readonly string[], connection: string): string | null {
  if (keys.length === 0) return null;
  return keys.map((key) => `sha256=${createHmac('sha256', key).update(connection).digest('hex')}`).join(',');
}

/** Builds an event with an id of its own. */
export function buildEvent(source: EventSource, name: EventName, content: Content): CloudEvent {
  const id = randomUUID();
  const { connection, request, hub, signature, user, subprotocol, state } = source;
  const optional = (field: string, value: string | null): string[] => (value === null ? [] : [field, value]);
  const fields = [
    ...['Content-Type', content.type],
    ...['WebHook-Request-Origin', source.host],
    ...['ce-specversion', '1.0'],
    ...['ce-awpsversion', '1.0'],
    ...['ce-type', TYPES[name]],
    ...['ce-source', `/hubs/${hub}/client/${connection}`],
    ...['ce-id', id],
    ...['ce-time', new Date().toISOString()],
    ...optional('ce-signature', signature),
    ...optional('ce-userId', user === null ? null : encodeAttribute(user)),
    ...['ce-connectionId', connection],
    ...['ce-hub', hub],
    ...['ce-eventName', name],
    ...optional('ce-subprotocol', subprotocol),
    ...optional('ce-connectionState', state),
    ...['Idempotency-Key', id],
    ...['X-Request-Id', request],
  ];
  return { name, id, connection, request, fields, body: content.body };
}

/** An attribute as a field value (CloudEvents HTTP binding §3.1.3.2): what is not visible ASCII, and `"` and `%`, is escaped. */
export function encodeAttribute(value: string): string {
  return Buffer.from(value)
    .toString('latin1')
    .replace(
      /[^\x21\x23\x24\x26-\x7e]/g,
      (octet) => `%${octet.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
    );
}

/** The content of `connect`: all that the backend needs to decide, without what is of one connection only. */
export function connectContent({ request, params, client, principal, offer }: Opening): Content {
  const { claims = null, fields: granted = [] } = principal ?? {};
  const fields = requestFields({ request, params, client, route: '', claims, granted }, NOT_SENT);
  const body = {
    claims: listClaims(claims ?? {}),
    query: grouped([...parametersOf(request.target.query)]),
    headers: grouped(lowerNames(fields).map((name, i) => [name, fields[2 * i + 1] as string])),
    subprotocols: offer,
    clientCertificates: [],
    path: request.target.path,
    params: Object.fromEntries(Object.entries(params)),
  };
  return { type: JSON_TYPE, body: Buffer.from(JSON.stringify(body)) };
}

/** Claims as lists of texts; those that hold more than that are left out. */
function listClaims(claims: Claims): Record<string, string[]> {
  const lists = Object.entries(claims).map(([name, value]) => [name, [value].flat().map(textOf)] as const);
  return Object.fromEntries(lists.filter((list): list is [string, string[]] => !list[1].includes(null)));
}

/** What the gateway has dealt with already. */
const NOT_SENT: ReadonlySet<string> = new Set([
  'content-length',
  'sec-websocket-key',
  'sec-websocket-version',
  'sec-websocket-extensions',
  'sec-websocket-protocol',
]);

function grouped(pairs: readonly (readonly [string, string])[]): Record<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const [name, value] of pairs) {
    const group = groups.get(name);
    if (group) group.push(value);
    else groups.set(name, [value]);
  }
  return Object.fromEntries(groups);
}

/** The content of the event `connected`. */
export function connectedContent(): Content {
  return { type: JSON_TYPE, body: Buffer.from('{}') };
}

/** Null: it never opened, since the client closed before its 101. */
export function disconnectedContent(end: SessionEnd | null): Content {
  const { reason, code, initiator } = end ?? { reason: 'client_gone', code: null, initiator: 'client' };
  return { type: JSON_TYPE, body: Buffer.from(JSON.stringify({ reason, code, initiator })) };
}

/** The content of the event `message`. */
export function messageContent(type: MessageType, data: Buffer): Content {
  return { type: type === 'text' ? 'text/plain; charset=utf-8' : 'application/octet-stream', body: data };
}

/** Why an answer can't be taken; the text is for the log. */
export interface AnswerFault {
  readonly fault: string;
}

/** A backend's 2xx response to `connect`. */
export interface ConnectAnswer {
  readonly user: string | null;
  /** Undefined: the gateway chooses; null: none. */
  readonly subprotocol: string | null | undefined;
  readonly state: string | null;
}

const MAX_USER = 256;
const MAX_STATE = 8192;

/** Reads the answer to `connect`; `offer` lists the client's subprotocols. */
export function readConnectAnswer(reply: Reply, offer: readonly string[]): ConnectAnswer | AnswerFault {
  const state = readState(reply);
  if (typeof state === 'object' && state !== null) return state;
  const body = parseObject(reply.body);
  if (body === null) return { fault: 'the answer to connect is no JSON object' };
  const { userId = null, subprotocol } = body as { userId?: unknown; subprotocol?: unknown };
  if (userId !== null && typeof userId !== 'string') return { fault: 'userId is no string' };
  if (userId !== null && userId.length > MAX_USER) return { fault: `userId has more than ${MAX_USER} characters` };
  if (subprotocol === undefined) return { user: userId || null, subprotocol, state };
  if (subprotocol === null || subprotocol === '') return { user: userId || null, subprotocol: null, state };
  const chosen = offer.find((name) => name === subprotocol);
  if (chosen === undefined) return { fault: 'the subprotocol was not offered' };
  return { user: userId || null, subprotocol: chosen, state };
}

function parseObject(body: Buffer): object | null {
  if (body.length === 0) return {};
  try {
    const value: unknown = JSON.parse(body.toString());
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {
    // Neither is an object.
  }
  return null;
}

/** A backend's 2xx response to a message. */
export interface MessageAnswer {
  /** Null: the client gets nothing. */
  readonly message: { readonly type: MessageType; readonly data: Buffer } | null;
  /** Null: as it was. */
  readonly state: string | null;
}

/** Reads the answer to `message`. */
export function readMessageAnswer(reply: Reply): MessageAnswer | AnswerFault {
  const state = readState(reply);
  if (typeof state === 'object' && state !== null) return state;
  const { body } = reply;
  if (body.length === 0) return { message: null, state };
  const [type = ''] = valuesOf(sectionOf(reply), 'content-type');
  const media = type.split(';', 1)[0]?.trim().toLowerCase();
  if (media === 'application/octet-stream') return { message: { type: 'binary', data: body }, state };
  if (media !== 'text/plain' && media !== 'application/json')
    return { fault: `the answer's Content-Type ${JSON.stringify(type)} makes no message` };
  return isUtf8(body) ? { message: { type: 'text', data: body }, state } : { fault: 'the answer is not UTF-8' };
}

function readState(reply: Reply): string | null | AnswerFault {
  const states = valuesOf(sectionOf(reply), 'ce-connectionstate');
  if (states.length > 1) return { fault: 'there is more than one ce-connectionState' };
  const [state = null] = states;
  if (state !== null && state.length > MAX_STATE)
    return { fault: `ce-connectionState has more than ${MAX_STATE} octets` };
  return state;
}

function sectionOf({ fields }: Reply) {
  return { fields, names: lowerNames(fields) };
}
