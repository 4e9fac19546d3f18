// What backends ask the admin API for: looking at a connection, sending to it, ending it, and publishing in rooms, whichever
// gateway holds them. openapi.ts describes it, and a test holds the two together.
import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import type { Broker } from '../websocket/broker/broker.ts';
import type { MessageType } from '../websocket/handler.ts';
import { type AdminResponse, json, nothing, problem } from './answer.ts';
import type { ApiCall, Operation } from './api.ts';
import { isoTime, MAX_BODY, mediaOf, mediaType, readBody, tooLarge } from './body.ts';
import { revoke } from './revoke.ts';

/** RFC 6455 §7.4: those that an application may send, and of the others those that make sense here. */
export const CLOSE_CODES: ReadonlySet<number> = new Set([1000, 1001, 1008, 1011, 1012, 1013]);
/** Bytes of a Close's reason (RFC 6455 §5.5). */
export const MAX_REASON = 123;
const MAX_ROOM = 256;

/** One request, its one parameter, and the broker it is carried out by. */
interface BrokerCall extends Pick<ApiCall, 'query' | 'req'> {
  readonly target: string;
  readonly broker: Broker;
}

const OPERATIONS = [
  ['GET', '/connections/{id}', describeConnection],
  ['POST', '/connections/{id}', sendToConnection],
  ['DELETE', '/connections/{id}', closeConnection],
  ['GET', '/rooms', listRooms],
  ['GET', '/rooms/{room}/members', listMembers],
  ['POST', '/rooms/{room}/messages', publish],
  ['POST', '/revocations', takeBack],
] as const;

/** The operations, on the broker that there is at each call. */
export function backendOperations(broker: () => Broker): readonly Operation[] {
  return OPERATIONS.map(([method, path, run]) => ({
    method,
    path,
    run: ({ params: [target = ''], query, req }) => run({ target, query, req, broker: broker() }),
  }));
}

const noSuchConnection = (): AdminResponse => problem(410, 'gone', 'there is no such connection, or not any more');

async function describeConnection({ target, broker }: BrokerCall): Promise<AdminResponse> {
  const found = await broker.describe(target);
  if (found === null) return noSuchConnection();
  const { openedAt, activeAt, ...rest } = found;
  return json(200, { ...rest, opened_at: isoTime(openedAt), active_at: activeAt === null ? null : isoTime(activeAt) });
}

async function sendToConnection({ target, req, broker }: BrokerCall): Promise<AdminResponse> {
  const message = await readMessage(req);
  if ('status' in message) return message;
  const found = await broker.describe(target);
  if (found?.mode === 'splice') {
    return problem(409, 'spliced', 'this connection is carried to its backend as it is; nothing can be put in');
  }
  const sent = found !== null && (await broker.sendTo(target, message.type, message.data));
  return sent ? nothing() : noSuchConnection();
}

async function closeConnection({ target, query, broker }: BrokerCall): Promise<AdminResponse> {
  const code = query.get('code') ?? '1000';
  const reason = query.get('reason') ?? '';
  const number = /^\d{4}$/.test(code) ? Number(code) : 0;
  if (!CLOSE_CODES.has(number) && (number < 3000 || number > 4999)) {
    return problem(400, 'malformed', `code is one of ${[...CLOSE_CODES].join(', ')}, or from 3000 to 4999`);
  }
  if (Buffer.byteLength(reason) > MAX_REASON) {
    return problem(400, 'malformed', `reason has more than ${MAX_REASON} bytes`);
  }
  return (await broker.disconnect(target, number, reason)) ? nothing() : noSuchConnection();
}

async function listRooms({ broker }: BrokerCall): Promise<AdminResponse> {
  return json(200, { rooms: await broker.rooms() });
}

async function listMembers({ target, broker }: BrokerCall): Promise<AdminResponse> {
  const fault = roomFault(target);
  if (fault !== null) return fault;
  const members = await broker.members(target);
  return json(200, { room: target, members: members.map((member) => ({ ...member, since: isoTime(member.since) })) });
}

async function publish({ target, req, broker }: BrokerCall): Promise<AdminResponse> {
  const fault = roomFault(target);
  if (fault !== null) return fault;
  const message = await readMessage(req);
  if ('status' in message) return message;
  if (message.type === 'binary') return mediaType('text/plain or application/json');
  const text = message.data.toString();
  const { id, at } = await broker.publish(target, { user: null, data: message.json ? text : JSON.stringify(text) });
  return json(200, { id, at: isoTime(at) });
}

async function takeBack({ req, broker }: BrokerCall): Promise<AdminResponse> {
  if (mediaOf(req) !== 'application/json') return mediaType('application/json');
  const body = await readBody(req, MAX_BODY);
  return body === null ? tooLarge() : revoke(broker, body.toString());
}

function roomFault(room: string): AdminResponse | null {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  const fine = room.length <= MAX_ROOM && !/[\x00-\x1f\x7f]/.test(room);
  return fine ? null : problem(400, 'malformed', `a room's name has at most ${MAX_ROOM} characters, and no controls`);
}

interface Message {
  readonly type: MessageType;
  readonly data: Buffer;
  /** Whether it is one JSON value. */
  readonly json: boolean;
}

/** The request's body as a message. */
async function readMessage(req: IncomingMessage): Promise<Message | AdminResponse> {
  const media = mediaOf(req);
  const known = media === 'text/plain' || media === 'application/json' || media === 'application/octet-stream';
  if (!known) return mediaType('text/plain, application/json or application/octet-stream');
  const data = await readBody(req, MAX_BODY);
  if (data === null) return tooLarge();
  if (media === 'application/octet-stream') return { type: 'binary', data, json: false };
  if (!isUtf8(data)) return problem(400, 'malformed', 'the body is not UTF-8');
  if (media === 'application/json' && !isJson(data.toString()))
    return problem(400, 'malformed', 'the body is not JSON');
  return { type: 'text', data, json: media === 'application/json' };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
