// A connection to which a test writes HTTP/1.1 and from which it reads HTTP/1.1, while HTTP/2 crosses the wire: what a test
// says of one protocol it says of the other. A handshake becomes an extended CONNECT and its 200 a 101. What HTTP/2 has no
// word for (Connection, Transfer-Encoding, the phrase) is made up; field names are written as they commonly are. Requests
// that HTTP/2 can't say are http2-raw.ts.
import { STATUS_CODES } from 'node:http';
import http2, { type ClientHttp2Session, type ClientHttp2Stream, type OutgoingHttpHeaders } from 'node:http2';
import net from 'node:net';
import { Duplex } from 'node:stream';
import { acceptKey } from '../../src/handshake/accept.ts';
import { type BodyCursor, followBody } from '../../src/http/answer.ts';

type Callback = (error?: Error | null) => void;

/** What belongs to one connection of HTTP/1.1 (RFC 9113 §8.2.2), and the key, which HTTP/2 has none of. */
const OF_HTTP1 = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'host']);

/** A request that was written: its head, and where its body ends. */
interface Written {
  readonly method: string;
  readonly target: string;
  readonly fields: readonly (readonly [string, string])[];
  readonly body: BodyCursor;
}

/** One that is being answered. */
interface Active extends Written {
  readonly stream: ClientHttp2Stream;
  readonly tunnel: boolean;
  /** The answer's head has come. */
  answered: boolean;
  chunked: boolean;
  trailers: readonly string[];
}

const valuesOf = (fields: Written['fields'], wanted: string): string[] =>
  fields.flatMap(([name, value]) => (name.toLowerCase() === wanted ? value.toLowerCase().split(',') : []));

const has = (fields: Written['fields'], name: string, token: string): boolean =>
  valuesOf(fields, name).some((one) => one.trim() === token);

/** Takes a head apart; an error where it is none, which HTTP/2 can't say. */
function readHead(text: string): Written {
  const [start = '', ...lines] = text.split('\r\n');
  const [method = '', target = '', version = ''] = start.split(' ');
  if (version !== 'HTTP/1.1') throw new Error(`HTTP/2 can't say ${JSON.stringify(start)}`);
  const fields = lines.map((line) => {
    const colon = line.indexOf(':');
    if (colon <= 0) throw new Error(`HTTP/2 can't say ${JSON.stringify(line)}`);
    return [line.slice(0, colon), line.slice(colon + 1).trim()] as const;
  });
  const length = valuesOf(fields, 'content-length')[0];
  const chunked = has(fields, 'transfer-encoding', 'chunked');
  const framing = chunked ? { kind: 'chunked' as const } : { kind: 'length' as const, length: Number(length ?? 0) };
  return { method, target, fields, body: followBody(framing) };
}

/** The head in HTTP/2. */
function headersOf({ method, target, fields }: Written, tunnel: boolean): OutgoingHttpHeaders {
  const own = new Set(valuesOf(fields, 'connection').map((name) => name.trim()));
  const absolute = /^https?:\/\/([^/?#]*)(.*)$/.exec(target);
  const host = fields.find(([name]) => name.toLowerCase() === 'host')?.[1];
  const headers: OutgoingHttpHeaders = {
    ':method': tunnel ? 'CONNECT' : method,
    ':scheme': 'http',
    ':authority': absolute?.[1] ?? host,
    ':path': absolute?.[2] ?? target,
    ...(tunnel ? { ':protocol': 'websocket' } : {}),
  };
  for (const [as, value] of fields) {
    const name = as.toLowerCase();
    if (name === 'te') {
      if (/\btrailers\b/i.test(value)) headers['te'] = 'trailers';
    } else if (!(OF_HTTP1.has(name) || own.has(name) || (tunnel && name === 'sec-websocket-key'))) {
      const known = headers[name];
      headers[name] = known === undefined ? value : [known as string | string[], value].flat();
    }
  }
  return headers;
}

const COMMON: Readonly<Record<string, string>> = { Etag: 'ETag', 'Www-Authenticate': 'WWW-Authenticate', Te: 'TE' };

/** A field's name as HTTP/1.1 commonly writes it. */
function commonName(name: string): string {
  const title = name.replaceAll(/(^|-)[a-z]/g, (start) => start.toUpperCase()).replace('Websocket', 'WebSocket');
  return COMMON[title] ?? title;
}

function linesOf(raw: readonly string[]): string[] {
  return raw.flatMap((name, i) => (i % 2 === 0 && !name.startsWith(':') ? [`${commonName(name)}: ${raw[i + 1]}`] : []));
}

export class Http1OverHttp2 extends Duplex {
  readonly #to: net.NetConnectOpts;
  #session!: ClientHttp2Session;
  #held = Buffer.alloc(0);
  #active: Active | null = null;
  #writing: Callback | null = null;

  /** Connects without TLS, with prior knowledge; emits `connect` once the server has said what it takes. */
  constructor(to: net.NetConnectOpts) {
    super({ allowHalfOpen: true });
    this.#to = to;
  }

  override _construct(callback: Callback): void {
    const socket = net.connect(this.#to);
    this.#session = http2.connect('http://localhost', {
      createConnection: () => socket,
      // What is written at once counts, and beyond 10 MB node would refuse the answer.
      maxSessionMemory: 1000,
    });
    this.#session.once('error', (error) => this.destroy(error));
    this.#session.once('close', () => {
      if (this.#active === null && !this.readableEnded) this.push(null);
    });
    this.#session.once('remoteSettings', () => {
      callback();
      this.emit('connect');
    });
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  setTimeout(): this {
    return this;
  }

  resetAndDestroy(): this {
    return this.destroy();
  }

  override _read(): void {
    this.#active?.stream.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: Callback): void {
    this.#held = Buffer.concat([this.#held, chunk]);
    try {
      this.#advance(callback);
    } catch (error) {
      callback(error as Error);
    }
  }

  override _final(callback: Callback): void {
    const active = this.#active;
    if (active?.tunnel === true) return void active.stream.end(callback);
    if (active !== null && !active.body.done) active.stream.close(http2.constants.NGHTTP2_CANCEL);
    else if (active === null) this.#session.close();
    callback();
  }

  override _destroy(error: Error | null, callback: Callback): void {
    this.#active?.stream.close(http2.constants.NGHTTP2_CANCEL);
    this.#session.close();
    callback(error);
  }

  /** Sends what can be sent of what is held: a body or a tunnel's octets, or the next head once the last answer is whole. */
  #advance(callback: Callback): void {
    if (this.#active === null) {
      const end = this.#held.indexOf('\r\n\r\n');
      if (end < 0) return void callback();
      const written = readHead(this.#held.toString('latin1', 0, end));
      this.#held = this.#held.subarray(end + 4);
      this.#active = this.#open(written);
    }
    const { stream, tunnel, body } = this.#active;
    const parts: Buffer[] = [];
    if (tunnel) parts.push(this.#held);
    else {
      const taken = body.take(this.#held, (part) => void parts.push(part));
      if (typeof taken !== 'number') throw new Error(taken.fault);
      if (taken === 0 || stream.writableEnded) return void callback();
      this.#held = this.#held.subarray(taken);
    }
    if (tunnel) this.#held = Buffer.alloc(0);
    const content = Buffer.concat(parts);
    // A reset leaves some callbacks of writes uncalled.
    this.#writing = callback;
    if (content.length === 0) this.#written();
    else stream.write(content, () => this.#written());
    if (!tunnel && body.done) stream.end();
  }

  #written(): void {
    const callback = this.#writing;
    this.#writing = null;
    callback?.();
  }

  #open(written: Written): Active {
    const { method, fields, body } = written;
    const tunnel =
      method === 'GET' && has(fields, 'upgrade', 'websocket') && has(fields, 'connection', 'upgrade') && body.done;
    const endStream = !tunnel && body.done;
    const waitForTrailers = has(fields, 'transfer-encoding', 'chunked');
    const stream = this.#session.request(headersOf(written, tunnel), { endStream, waitForTrailers });
    const active: Active = { ...written, stream, tunnel, answered: false, chunked: false, trailers: [] };
    stream.on('error', () => {});
    stream.on('wantTrailers', () => {
      const trailers: OutgoingHttpHeaders = {};
      for (let i = 0; i < body.trailers.length; i += 2)
        trailers[(body.trailers[i] as string).toLowerCase()] = body.trailers[i + 1];
      stream.sendTrailers(trailers);
    });
    // node gives the flat list of fields as the third argument.
    const raw = (args: unknown[]): string[] => args[0] as string[];
    stream.on('headers', ({ ':status': status }, _flags, ...args: unknown[]) => {
      this.push(`HTTP/1.1 ${status} ${STATUS_CODES[status ?? 0]}\r\n${linesOf(raw(args)).join('\r\n')}\r\n\r\n`);
    });
    stream.on('response', ({ ':status': status }, _flags, ...args: unknown[]) => {
      this.#answer(active, status ?? 0, linesOf(raw(args)));
    });
    stream.on('trailers', (_fields, _flags, ...args: unknown[]) => {
      active.trailers = linesOf(raw(args));
    });
    stream.on('data', (part: Buffer) => {
      const bytes = active.chunked ? [`${part.length.toString(16)}\r\n`, part, '\r\n'] : [part];
      for (const one of bytes) if (!this.push(one, 'latin1')) stream.pause();
    });
    stream.on('end', () => {
      if (tunnel && stream.rstCode === 0 && !stream.destroyed) this.push(null);
    });
    stream.once('close', () => this.#over(active));
    return active;
  }

  #answer(active: Active, status: number, lines: string[]): void {
    active.answered = true;
    const opened = active.tunnel && status === 200;
    const bodyless = active.method === 'HEAD' || status === 204 || status === 304;
    active.chunked = !(opened || bodyless || lines.some((line) => line.startsWith('Content-Length:')));
    const key = active.fields.find(([name]) => name.toLowerCase() === 'sec-websocket-key')?.[1] ?? '';
    const made = [
      ...(opened ? ['Upgrade: websocket', 'Connection: Upgrade', `Sec-WebSocket-Accept: ${acceptKey(key)}`] : []),
      ...lines,
      // The connection of a handshake that is refused has no next request.
      ...(active.tunnel && !opened ? ['Connection: close'] : []),
      ...(active.chunked ? ['Transfer-Encoding: chunked'] : []),
    ];
    const as = opened ? 101 : status;
    this.push([`HTTP/1.1 ${as} ${STATUS_CODES[as]}`, ...made, '', ''].join('\r\n'), 'latin1');
  }

  /** The stream is over: in order, or by a reset, which ends what stands for its connection. */
  #over(active: Active): void {
    if (this.destroyed) return;
    const { answered, chunked, trailers, tunnel, fields, body, stream } = active;
    if (!answered || (stream.rstCode ?? 0) !== http2.constants.NGHTTP2_NO_ERROR) {
      this.destroy(Object.assign(new Error(`reset with ${stream.rstCode}`), { code: 'ECONNRESET' }));
      return;
    }
    if (chunked) this.push(['0', ...trailers, '', ''].join('\r\n'), 'latin1');
    this.#active = null;
    this.#written();
    // What is left of a body that nobody wanted is no request.
    if (tunnel || !body.done || has(fields, 'connection', 'close')) {
      if (!this.readableEnded) this.push(null);
      this.#session.close();
    } else if (this.#held.length > 0) this.#advance((error) => void (error && this.destroy(error)));
  }
}
