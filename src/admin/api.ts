// The admin API for backends: looking at a connection, sending to it, ending it, and publishing in rooms,
// whichever gateway holds them. What it takes and gives is written down in openapi.ts, and a test holds the two together.
import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import type { Emit } from '../events.ts';
import { type Broker, BrokerError } from '../websocket/broker/broker.ts';
import type { MessageType } from '../websocket/handler.ts';
import { type AdminResponse, json, nothing, problem } from './answer.ts';
import { presentsToken } from './bearer.ts';
import { readBody } from './body.ts';
import { revoke } from './revoke.ts';

export interface ApiOptions {
  /** What callers must show; undefined: there is no API. */
  readonly token: () => string | undefined;
  readonly broker: () => Broker;
  readonly emit: Emit;
}

/** One request, as its operation sees it. */
interface Call {
  /** The parameter of the path, decoded. */
  readonly target: string;
  readonly query: URLSearchParams;
  readonly req: IncomingMessage;
  readonly broker: Broker;
}

interface Operation {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** With one parameter at most. */
  readonly path: string;
  readonly run: (call: Call) => Promise<AdminResponse>;
}

/** Bytes of the largest message taken. */
const MAX_BODY = 1024 * 1024;
/** RFC 6455 §7.4: those that an application may send, and of the others those that make sense here. */
const CLOSE_CODES: ReadonlySet<number> = new Set([1000, 1001, 1008, 1011, 1012, 1013]);
/** Bytes of a Close's reason (RFC 6455 §5.5). */
const MAX_REASON = 123;
const MAX_ROOM = 256;

export const OPERATIONS: readonly Operation[] = [
  { method: 'GET', path: '/connections/{id}', run: describeConnection },
  { method: 'POST', path: '/connections/{id}', run: sendToConnection },
  { method: 'DELETE', path: '/connections/{id}', run: closeConnection },
  { method: 'GET', path: '/rooms', run: listRooms },
  { method: 'GET', path: '/rooms/{room}/members', run: listMembers },
  { method: 'POST', path: '/rooms/{room}/messages', run: publish },
  { method: 'POST', path: '/revocations', run: takeBack },
];

/** Answers requests of the API; null where the path is none of its own. */
export function createApi(options: ApiOptions): (req: IncomingMessage) => Promise<AdminResponse | null> {
  return async (req) => {
    const { pathname, searchParams } = splitTarget(req.url ?? '');
    const fitting = OPERATIONS.flatMap((operation) => {
      const target = matchPath(operation.path, pathname);
      return target === null ? [] : [{ operation, target }];
    });
    if (fitting.length === 0) return null;
    const startedAt = performance.now();
    const found = fitting.find(({ operation }) => operation.method === req.method);
    const answer = refuse(options, req) ?? (await run(options, req, found, searchParams));
    const name = found === undefined ? `other ${fitting[0]?.operation.path}` : `${req.method} ${found.operation.path}`;
    options.emit({
      type: 'api_called',
      operation: name,
      target: decode(fitting[0]?.target ?? ''),
      status: answer.status,
      reason: answer.reason ?? null,
      client: req.socket.remoteAddress ?? '',
      durationMs: performance.now() - startedAt,
    });
    if (answer.status !== 405) return answer;
    return { ...answer, fields: { Allow: fitting.map(({ operation }) => operation.method).join(', ') } };
  };
}

function splitTarget(target: string): { pathname: string; searchParams: URLSearchParams } {
  const [pathname = '', ...query] = target.split('?');
  return { pathname, searchParams: new URLSearchParams(query.join('?')) };
}

/** The parameter as it stands in the path, empty where there is none; null where the path is another. */
function matchPath(template: string, path: string): string | null {
  const [wanted, given] = [template.split('/'), path.split('/')];
  if (wanted.length !== given.length) return null;
  let target = '';
  for (const [i, segment] of wanted.entries()) {
    if (segment.startsWith('{')) target = given[i] as string;
    else if (segment !== given[i]) return null;
  }
  return template.includes('{') && target === '' ? null : target;
}

function decode(segment: string): string | null {
  if (segment === '') return null;
  try {
    return decodeURIComponent(segment);
  } catch {
    return null;
  }
}

/** What every operation asks for first. */
function refuse({ token }: ApiOptions, req: IncomingMessage): AdminResponse | null {
  const wanted = token();
  if (wanted === undefined) return problem(403, 'api_off', 'there is no API without admin.token in the config');
  if (presentsToken(req.headers.authorization, wanted)) return null;
  const challenge = req.headers.authorization === undefined ? 'Bearer' : 'Bearer error="invalid_token"';
  return problem(401, 'unauthorized', 'the token of the API is missing or wrong', { 'WWW-Authenticate': challenge });
}

interface EndpointMatch {
  readonly operation: Operation;
  readonly target: string;
}

async function run(
  { broker }: ApiOptions,
  req: IncomingMessage,
  found: EndpointMatch | undefined,
  query: URLSearchParams,
): Promise<AdminResponse> {
  if (found === undefined) return problem(405, 'method', 'the method is not allowed here');
  const target = found.target === '' ? '' : decode(found.target);
  if (target === null) return problem(400, 'malformed', 'the path holds an escape that is none');
  try {
    return await found.operation.run({ target, query, req, broker: broker() });
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    return error.fault === 'unavailable'
      ? problem(503, 'broker_unavailable', error.message, { 'Retry-After': '1' })
      : problem(504, 'broker_unconfirmed', error.message);
  }
}

const noSuchConnection = (): AdminResponse => problem(410, 'gone', 'there is no such connection, or not any more');

async function describeConnection({ target, broker }: Call): Promise<AdminResponse> {
  const found = await broker.describe(target);
  if (found === null) return noSuchConnection();
  const { openedAt, activeAt, ...rest } = found;
  return json(200, { ...rest, opened_at: isoTime(openedAt), active_at: activeAt === null ? null : isoTime(activeAt) });
}

async function sendToConnection({ target, req, broker }: Call): Promise<AdminResponse> {
  const message = await readMessage(req);
  if ('status' in message) return message;
  const found = await broker.describe(target);
  if (found?.mode === 'splice') {
    return problem(409, 'spliced', 'this connection is carried to its backend as it is; nothing can be put in');
  }
  const sent = found !== null && (await broker.sendTo(target, message.type, message.data));
  return sent ? nothing() : noSuchConnection();
}

async function closeConnection({ target, query, broker }: Call): Promise<AdminResponse> {
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

async function listRooms({ broker }: Call): Promise<AdminResponse> {
  return json(200, { rooms: await broker.rooms() });
}

async function listMembers({ target, broker }: Call): Promise<AdminResponse> {
  const fault = roomFault(target);
  if (fault !== null) return fault;
  const members = await broker.members(target);
  return json(200, { room: target, members: members.map((member) => ({ ...member, since: isoTime(member.since) })) });
}

async function publish({ target, req, broker }: Call): Promise<AdminResponse> {
  const fault = roomFault(target);
  if (fault !== null) return fault;
  const message = await readMessage(req);
  if ('status' in message) return message;
  if (message.type === 'binary') return mediaType('text/plain or application/json');
  const text = message.data.toString();
  const { id, at } = await broker.publish(target, { user: null, data: message.json ? text : JSON.stringify(text) });
  return json(200, { id, at: isoTime(at) });
}

async function takeBack({ req, broker }: Call): Promise<AdminResponse> {
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

function mediaOf(req: IncomingMessage): string | undefined {
  return req.headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase();
}

const tooLarge = (): AdminResponse => problem(413, 'too_large', `a body has at most ${MAX_BODY} bytes`);

function mediaType(wanted: string): AdminResponse {
  return problem(415, 'media_type', `Content-Type has to be ${wanted}`);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
