// The backend of the security tests: a raw TCP server that keeps every byte it is sent, takes them apart by the strictest
// reading of RFC 9112 there is, and answers each request with its own start line, so that an answer that reaches the wrong
// client is seen. What two readers could take differently is never a request here: it is recorded as `ambiguous`.
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { acceptOf } from '../../support/raw.ts';

/** One whole message, or what was left of one. */
export interface Message {
  readonly kind: 'request' | 'partial' | 'ambiguous';
  /** `METHOD target` of a request; what is wrong with an ambiguous one. */
  readonly line: string;
  /** Names in lower case, in their order. */
  readonly fields: readonly (readonly [string, string])[];
  readonly body: string;
}

/** What a path answers with, in place of its request's start line: bytes as latin1. `close`: and then the backend ends. */
export interface Script {
  readonly answer: (request: Message, accept: string) => string;
  readonly close?: boolean;
  /** From now on every byte belongs to a tunnel. */
  readonly tunnel?: boolean;
  /** Answers behind the head already, and takes the body for the next request, as a server with CL.0 does. */
  readonly ignoresBody?: boolean;
}

export interface Canary {
  readonly port: number;
  /** What arrived since the last call, in its order, as lines of text; `watch` names fields whose values are shown. */
  take(watch?: readonly string[]): string[];
  /** Every byte since the last call of `take`. */
  bytes(): string;
  close(): void;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const START = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([^\s\x00-\x20\x7f]+) HTTP\/1\.[01]$/;
const FIELD = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)$/;

type Read =
  | { readonly message: Message; readonly length: number; readonly head: number }
  | { readonly wrong: string }
  | null;

/** The first message in the text; null while it is not whole. */
function readStrictly(text: string, ignoresBody: (target: string) => boolean): Read {
  const end = text.indexOf('\r\n\r\n');
  const head = end < 0 ? text : text.slice(0, end);
  const bare = /(?:^|[^\r])\n|\r(?!\n|$)|\0/.exec(head);
  if (bare) return { wrong: bare[0] === '\0' ? 'NUL' : 'bare CR or LF' };
  if (end < 0) return null;
  const [first = '', ...lines] = head.split('\r\n');
  const start = START.exec(first);
  if (!start) return { wrong: `start line ${first}` };
  const fields: [string, string][] = [];
  for (const line of lines) {
    const field = FIELD.exec(line);
    if (!field) return { wrong: `field line ${line}` };
    fields.push([field[1]!.toLowerCase(), field[2]!.trimEnd()]);
  }
  const [method, target] = [start[1]!, start[2]!];
  const body = ignoresBody(target) ? { body: '', length: 0 } : readBody(fields, text.slice(end + 4));
  if (body === null || 'wrong' in body) return body;
  const message: Message = { kind: 'request', line: `${method} ${target}`, fields, body: body.body };
  return { message, length: end + 4 + body.length, head: end + 4 };
}

type Body = { readonly body: string; readonly length: number } | { readonly wrong: string } | null;

function readBody(fields: readonly (readonly [string, string])[], text: string): Body {
  const values = (name: string) => fields.filter(([given]) => given === name).map(([, value]) => value);
  const [lengths, codings] = [values('content-length'), values('transfer-encoding')];
  if (lengths.length > 1) return { wrong: 'two Content-Length' };
  if (lengths.length > 0 && codings.length > 0) return { wrong: 'Content-Length and Transfer-Encoding' };
  if (codings.length > 0)
    return codings.join().toLowerCase() === 'chunked' ? readChunks(text) : { wrong: `coding ${codings}` };
  const [length = '0'] = lengths;
  if (!/^\d+$/.test(length)) return { wrong: `Content-Length ${length}` };
  return text.length < Number(length) ? null : { body: text.slice(0, Number(length)), length: Number(length) };
}

function readChunks(text: string): Body {
  let at = 0;
  let body = '';
  for (;;) {
    const line = text.indexOf('\r\n', at);
    const size = line < 0 ? text.slice(at) : text.slice(at, line);
    if (line < 0 && size.length < 20 && /^[0-9a-fA-F]*\r?$/.test(size)) return null;
    if (!/^[0-9a-fA-F]+$/.test(size)) return { wrong: `chunk size ${size.slice(0, 40)}` };
    const length = Number.parseInt(size, 16);
    at = line + 2;
    if (length === 0) break;
    if (text.length < at + length + 2) return null;
    if (text.slice(at + length, at + length + 2) !== '\r\n') return { wrong: 'no line end behind a chunk' };
    body += text.slice(at, at + length);
    at += length + 2;
  }
  for (;;) {
    const line = text.indexOf('\r\n', at);
    if (line < 0) return null;
    const trailer = text.slice(at, line);
    at = line + 2;
    if (trailer === '') return { body, length: at };
    if (!FIELD.test(trailer)) return { wrong: `trailer ${trailer}` };
    body += `{trailer ${trailer}}`;
  }
}

/** Listens on a free port of 127.0.0.1. Scripts are found by the path of the request, without its query. */
export async function startCanary(scripts: Readonly<Record<string, Script>> = {}): Promise<Canary> {
  const sockets = new Set<Socket>();
  let messages: Message[] = [];
  let all = '';
  const scriptOf = (target: string): Script | undefined => scripts[target.split('?')[0]!];
  const server = createServer((socket) => {
    sockets.add(socket);
    let left = '';
    let over: 'tunnel' | 'closed' | null = null;
    const record = (kind: Message['kind'], line: string, body: string) =>
      void messages.push({ kind, line, fields: [], body });
    const finish = () => {
      if (left !== '') record('partial', over === 'tunnel' ? 'tunnel' : 'head or body', left);
      left = '';
    };
    socket.on('error', () => {});
    socket.on('close', finish).on('end', () => socket.end());
    socket.on('data', (chunk) => {
      const text = chunk.toString('latin1');
      all += text;
      left += text;
      while (over === null && left !== '') {
        const read = readStrictly(left, (target) => scriptOf(target)?.ignoresBody === true);
        if (read === null) return;
        if ('wrong' in read) {
          over = 'closed';
          record('ambiguous', read.wrong, left);
          left = '';
          return void socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nambiguous');
        }
        left = left.slice(read.length);
        const { message } = read;
        messages.push(message);
        const script = scriptOf(message.line.split(' ')[1]!);
        const key = message.fields.find(([name]) => name === 'sec-websocket-key')?.[1] ?? '';
        if (script?.tunnel) over = 'tunnel';
        socket.write(script?.answer(message, acceptOf(key)) ?? answerTo(message), 'latin1');
        if (script?.close) {
          over = 'closed';
          socket.end();
        }
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    bytes: () => all,
    take: (watch = []) => {
      const taken = messages.map((message) => format(message, watch));
      messages = [];
      all = '';
      return taken;
    },
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** The answer that says which request it belongs to. */
function answerTo({ line, body }: Message): string {
  const text = line.startsWith('HEAD ') ? '' : `answer to ${line}${body === '' ? '' : ' with a body'}`;
  return `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`;
}

function format({ kind, line, fields, body }: Message, watch: readonly string[]): string {
  if (kind === 'partial')
    return line === 'tunnel' ? `tunnel: ${JSON.stringify(body)}` : `never ended: ${startOf(body)}`;
  if (kind === 'ambiguous') return `ambiguous (${line}): ${JSON.stringify(body)}`;
  const watched = watch.map((name) => {
    const values = fields.filter(([given]) => given === name).map(([, value]) => value);
    return ` {${name}: ${values.length === 0 ? 'none' : values.join(' | ')}}`;
  });
  return `${line}${body === '' ? '' : ` ${JSON.stringify(body)}`}${watched.join('')}`;
}

/** Method and target of what was begun. */
const startOf = (text: string): string => /^\S+ \S+(?= HTTP\/1\.1\r\n)/.exec(text)?.[0] ?? JSON.stringify(text);
