// Runs a case on a raw socket and judges it: what was heard, how it ended, and every byte that came. Frames are taken apart
// by support/frames.ts and messages inflated by codec.ts; nothing of `ws` is in it.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Frame, OPCODE, parseFrames, readClose } from '../../support/frames.ts';
import { ACCEPT, handshake } from '../../support/raw.ts';
import { TEST_TIMEOUT_MS } from '../../support/test-timeout.ts';
import { type Case, close, echoes, frame, heardOf, type Message, STILL_OPEN, type Step } from './case.ts';
import { Codec, readAgreed } from './codec.ts';

export type Judged = 'OK' | 'NON-STRICT' | 'INFORMATIONAL' | 'FAILED';

export interface Verdict {
  readonly behaviour: Judged;
  /** Of the end. */
  readonly close: 'OK' | 'WRONG CODE' | 'UNCLEAN' | 'INFORMATIONAL' | 'FAILED';
  /** What was heard, and how it ended, where that was not right; else empty. */
  readonly why: string;
}

/** All that a client can see of a case, but for when. */
export interface Transcript {
  readonly status: number;
  readonly extensions: string | null;
  /** Everything behind the head of the answer, or the body of a refusal. */
  readonly bytes: Buffer;
  readonly end: 'fin' | 'reset' | 'open';
}

export interface Run {
  readonly verdict: Verdict;
  readonly transcript: Transcript;
}

export interface Target {
  readonly port: number;
  readonly path: string;
  /** Sec-WebSocket-Extensions; none is offered without it. */
  readonly offer?: string;
}

export async function runCase(of: Case, target: Target): Promise<Run> {
  const socket = connect({ port: target.port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
  await once(socket, 'connect');
  const client = new Client(socket, target.offer ?? '');
  try {
    socket.write(
      handshake(target.offer ? { 'Sec-WebSocket-Extensions': target.offer } : {}, `GET ${target.path} HTTP/1.1`),
    );
    await client.until(() => client.open);
    if (client.open) await perform(of, client);
    await client.until(() => false);
    return { verdict: judge(of, client), transcript: client.transcript() };
  } finally {
    socket.destroy();
  }
}

async function perform(of: Case, client: Client): Promise<void> {
  for (const step of of.steps) await client.perform(step);
  if (of.end.by !== 'client') return;
  const wanted = [...of.ok, ...(of.nonStrict ?? [])].map((heard) => heard.join('\n'));
  await client.until(() => wanted.includes(client.heard.join('\n')));
  client.send(close(1000));
}

function judge(of: Case, client: Client): Verdict {
  const { status, end } = client.transcript();
  if (status !== 101) return { behaviour: 'FAILED', close: 'FAILED', why: `the handshake was answered with ${status}` };
  const heard = client.heard.join('\n');
  const among = (lists: readonly (readonly string[])[] = []) => lists.some((list) => list.join('\n') === heard);
  const behaviour =
    client.fault !== null
      ? 'FAILED'
      : of.informational
        ? 'INFORMATIONAL'
        : among(of.ok)
          ? 'OK'
          : among(of.nonStrict)
            ? 'NON-STRICT'
            : 'FAILED';
  const how = of.informational && end !== 'open' ? 'INFORMATIONAL' : judgeEnd(of.end, client.close, end);
  const right = behaviour !== 'FAILED' && (how === 'OK' || how === 'INFORMATIONAL');
  const why = right ? '' : `heard ${JSON.stringify(client.heard)}, Close ${JSON.stringify(client.close)}, ${end}`;
  return { behaviour, close: how, why: client.fault === null ? why : `${client.fault}; ${why}` };
}

function judgeEnd(wanted: Case['end'], got: Client['close'], end: Transcript['end']): Verdict['close'] {
  // The server closes the TCP connection (RFC 6455 §7.1.1).
  if (end === 'open') return 'FAILED';
  if (wanted.clean && (got === null || end !== 'fin')) return 'UNCLEAN';
  return got === null || got.code === null || wanted.codes.includes(got.code) ? 'OK' : 'WRONG CODE';
}

class Client {
  readonly heard: string[] = [];
  /** What no server may send, whatever the case. */
  fault: string | null = null;
  close: { code: number | null; reason: string } | null = null;
  open = false;
  readonly #socket: Socket;
  readonly #offer: string;
  readonly #all: Buffer[] = [];
  #head: string | null = null;
  /** What has not been read as frames, in pieces until there is enough for the next. */
  #pieces: Buffer[] = [];
  #need = 1;
  #message: { type: 'text' | 'binary'; packed: boolean; parts: Buffer[] } | null = null;
  #codec: Codec | null = null;
  #end: 'fin' | 'reset' | null = null;
  #wake: () => void = () => {};

  constructor(socket: Socket, offer: string) {
    this.#socket = socket;
    this.#offer = offer;
    const ended = (how: 'fin' | 'reset'): void => {
      this.#end ??= how;
      this.#wake();
    };
    socket.on('data', (chunk) => {
      this.#take(chunk);
      this.#wake();
    });
    socket.once('end', () => ended('fin')).on('error', () => ended('reset'));
    socket.once('close', () => ended('reset'));
  }

  send(bytes: Buffer): void {
    if (this.#end === null) this.#socket.write(bytes);
  }

  async perform(step: Step): Promise<void> {
    if ('send' in step) {
      const size = step.chop ?? step.send.length;
      for (let at = 0; at < step.send.length && this.#end === null; at += size) {
        this.send(step.send.subarray(at, at + size));
        // A turn of the loop between two pieces, and no more waiting than that: each goes out as it is.
        if (step.chop !== undefined) await new Promise(setImmediate);
      }
    } else if ('heard' in step) await this.until(() => this.heard.length >= step.heard);
    else if ('quietMs' in step) await this.#quiet(step.quietMs);
    else await this.#rounds(step);
  }

  async #quiet(ms: number): Promise<void> {
    await Promise.race([sleep(ms), this.until(() => false)]);
    if (this.#end === null && this.close === null) this.heard.push(STILL_OPEN);
  }

  async #rounds({ rounds, message, fragment }: Extract<Step, { rounds: number }>): Promise<void> {
    for (let i = 0; i < rounds; i++) {
      const { type, payload } = message(i);
      this.#sendMessage(type, payload, fragment);
      await this.until(() => this.heard.length > 0);
      const answer = this.heard.pop();
      if (answer === heardOf(type, payload)) continue;
      this.#fault(`message ${i} came back as ${answer}`);
      return;
    }
    this.heard.push(echoes(rounds));
  }

  #sendMessage(type: Message['type'], payload: Buffer, fragment: number | undefined): void {
    const packed = this.#codec?.compress(payload) ?? payload;
    const size = fragment ?? Math.max(packed.length, 1);
    for (let at = 0; at < packed.length || at === 0; at += size) {
      const opcode = at > 0 ? OPCODE.continuation : OPCODE[type];
      const rsv = this.#codec !== null && at === 0 ? 4 : 0;
      this.send(frame(opcode, packed.subarray(at, at + size), { rsv, fin: at + size >= packed.length }));
    }
  }

  /** Waits until it holds, for the end, or until patience is over. */
  async until(holds: () => boolean): Promise<void> {
    const late = AbortSignal.timeout(TEST_TIMEOUT_MS);
    late.addEventListener('abort', () => this.#wake(), { once: true });
    while (this.#end === null && !late.aborted && !holds()) {
      await new Promise<void>((wake) => {
        this.#wake = wake;
      });
    }
  }

  transcript(): Transcript {
    const head = this.#head ?? '';
    const extensions = /^sec-websocket-extensions: (.*)$/im.exec(head)?.[1] ?? null;
    const status = Number(head.split(' ')[1] ?? 0);
    return { status, extensions, bytes: Buffer.concat(this.#all), end: this.#end ?? 'open' };
  }

  #take(chunk: Buffer): void {
    this.#pieces.push(chunk);
    if (this.#head !== null) this.#all.push(chunk);
    if (this.#head === null) this.#takeHead();
    if (!this.open || this.#pieces.reduce((sum, piece) => sum + piece.length, 0) < this.#need) return;
    const { frames, rest } = parseFrames(Buffer.concat(this.#pieces));
    this.#pieces = [rest];
    this.#need = sizeOf(rest);
    for (const one of frames) this.#fault(this.#hear(one));
  }

  #takeHead(): void {
    const bytes = Buffer.concat(this.#pieces);
    const end = bytes.indexOf('\r\n\r\n');
    if (end === -1) return;
    this.#head = bytes.toString('latin1', 0, end);
    this.#pieces = [bytes.subarray(end + 4)];
    if (end + 4 < bytes.length) this.#all.push(bytes.subarray(end + 4));
    this.open = this.#head.startsWith('HTTP/1.1 101 ') && this.#head.includes(ACCEPT);
    if (!this.open) return;
    try {
      const agreed = readAgreed(this.transcript().extensions, this.#offer);
      this.#codec = agreed && new Codec(agreed);
    } catch (error) {
      this.#fault((error as Error).message);
    }
  }

  #fault(why: string | null): void {
    this.fault ??= why;
  }

  /** What is wrong with a frame, or null. */
  #hear(one: Frame): string | null {
    if (this.close !== null) return 'a frame came behind the Close';
    if (one.masked) return 'a server does not mask';
    if (one.opcode >= 8) return this.#hearControl(one);
    if (one.opcode > 2) return `there is no opcode ${one.opcode}`;
    if ((one.opcode === 0) !== (this.#message !== null)) return 'fragments are out of order';
    if (one.rsv !== 0 && (one.rsv !== 4 || this.#codec === null || one.opcode === 0)) return 'a reserved bit is set';
    const type = one.opcode === OPCODE.text ? 'text' : 'binary';
    this.#message ??= { type, packed: one.rsv === 4, parts: [] };
    this.#message.parts.push(one.payload);
    return one.fin ? this.#hearMessage() : null;
  }

  #hearControl({ fin, rsv, opcode, payload }: Frame): string | null {
    if (!fin || rsv !== 0 || payload.length > 125 || opcode > 10) return 'a control frame is malformed';
    if (opcode === OPCODE.close) this.close = readClose({ payload } as Frame);
    else this.heard.push(heardOf(opcode === OPCODE.ping ? 'ping' : 'pong', payload));
    return null;
  }

  #hearMessage(): string | null {
    const { type, packed, parts } = this.#message ?? { type: 'binary', packed: false, parts: [] };
    this.#message = null;
    const payload = Buffer.concat(parts);
    try {
      const plain = packed && this.#codec ? this.#codec.inflate(payload) : payload;
      if (type === 'text') new TextDecoder('utf-8', { fatal: true }).decode(plain);
      this.heard.push(heardOf(type, plain));
      return null;
    } catch (error) {
      return `a message can't be read: ${(error as Error).message}`;
    }
  }
}

/** How many bytes the frame at the start of these has, or enough to tell. */
function sizeOf(bytes: Buffer): number {
  const short = (bytes[1] ?? 0) & 127;
  if (bytes.length < 2) return 2;
  if (short < 126) return 2 + short;
  if (short === 126) return bytes.length < 4 ? 4 : 4 + bytes.readUInt16BE(2);
  return bytes.length < 10 ? 10 : 10 + Number(bytes.readBigUInt64BE(2));
}
