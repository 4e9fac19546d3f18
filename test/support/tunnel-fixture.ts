// A tunnel between a raw client and a raw backend on loopback, for tests that assert exact bytes and their order.
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import type { Sample } from '../../src/events.ts';
import { asStream } from '../../src/net/fd-connection.ts';
import type { RelayEngine, Tunnel, TunnelEnd, TunnelOptions } from '../../src/relay/relay.ts';
import { connectThreads } from './threads-tls.ts';

/** `threads`: TLS toward the client, by the native relay's threads; plain toward the backend. */
export type Transport = 'plain' | 'tls' | 'threads';

/** Valid options without any feature on; a test turns on one. */
export const OPTIONS: TunnelOptions = {
  route: 'r',
  idleMs: 3_600_000,
  maxLifetimeMs: null,
  inspect: true,
  ping: null,
  limits: { fromClient: null, toClient: null },
};

export const HEAD = Buffer.from(
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
);

/** A raw end: keeps every byte it reads, and waits for conditions rather than for time. */
export class Peer {
  readonly socket: net.Socket;
  /** What a reset goes out on. */
  readonly #below: net.Socket;
  /** How much has come and was not taken. */
  length = 0;
  ended = false;
  closed = false;
  error: NodeJS.ErrnoException | null = null;
  #chunks: Buffer[] = [];
  #wake: (() => void)[] = [];

  constructor(socket: net.Socket, below = socket) {
    this.socket = socket;
    this.#below = below;
    socket.on('error', (error) => {
      this.error = error;
    });
    socket.on('data', (chunk) => {
      this.#chunks.push(chunk);
      this.length += chunk.length;
      this.#changed();
    });
    socket.on('end', () => {
      this.ended = true;
      this.#changed();
    });
    socket.on('close', () => {
      this.closed = true;
      this.#changed();
    });
  }

  /** What has come and was not taken. */
  get bytes(): Buffer {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0] ?? Buffer.alloc(0);
  }

  set bytes(bytes: Buffer) {
    this.#chunks = bytes.length > 0 ? [bytes] : [];
    this.length = bytes.length;
  }

  #changed(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }

  send(...parts: Buffer[]): void {
    this.socket.write(Buffer.concat(parts));
  }

  fin(): void {
    this.socket.end();
  }

  reset(): void {
    this.#below.resetAndDestroy();
  }

  async until(holds: (peer: Peer) => boolean): Promise<void> {
    while (!holds(this)) {
      if (this.closed) throw new Error(`closed while waiting; got ${this.bytes.toString('hex').slice(0, 400)}`);
      await new Promise<void>((wake) => this.#wake.push(wake));
    }
  }

  /** Waits for its end, in order or by a reset. */
  gone(): Promise<void> {
    return this.until((peer) => peer.ended || peer.closed);
  }

  /** Takes the next `count` bytes. */
  async take(count: number): Promise<Buffer> {
    await this.until((peer) => peer.length >= count);
    const taken = this.bytes.subarray(0, count);
    this.bytes = this.bytes.subarray(count);
    return taken;
  }

  /** Takes exactly these bytes next, or fails showing the difference. */
  async expect(...parts: Buffer[]): Promise<void> {
    const wanted = Buffer.concat(parts);
    const got = await this.take(wanted.length);
    if (!got.equals(wanted)) throw new Error(`expected ${show(wanted)}, got ${show(got)}`);
  }

  /** Waits for FIN and takes all bytes before it. */
  async rest(): Promise<Buffer> {
    await this.until((peer) => peer.ended);
    const rest = this.bytes;
    this.bytes = Buffer.alloc(0);
    return rest;
  }

  async expectEnd(): Promise<void> {
    const rest = await this.rest();
    if (rest.length > 0) throw new Error(`expected FIN, got ${show(rest)}`);
  }

  /** Takes one whole frame of less than 64 KiB. */
  async frame(): Promise<ReadFrame> {
    await this.until((peer) => peer.length >= 2);
    const short = this.bytes[1]! & 127;
    const masked = this.bytes[1]! >= 128;
    const head = 2 + (short === 126 ? 2 : 0) + (masked ? 4 : 0);
    await this.until((peer) => peer.length >= head);
    const length = short === 126 ? this.bytes.readUInt16BE(2) : short;
    const raw = await this.take(head + length);
    const key = masked ? raw.subarray(head - 4, head) : Buffer.alloc(4);
    const payload = Buffer.from(raw.subarray(head).map((byte, i) => byte ^ key[i % 4]!));
    return { opcode: raw[0]! & 15, fin: raw[0]! >= 128, masked, key, payload, raw };
  }

  /** Takes a Close frame and returns its code. */
  async close(): Promise<number> {
    const frame = await this.frame();
    if (frame.opcode !== 8 || frame.payload.length < 2) throw new Error(`expected a Close, got ${show(frame.raw)}`);
    return frame.payload.readUInt16BE(0);
  }
}

export interface ReadFrame {
  opcode: number;
  fin: boolean;
  masked: boolean;
  key: Buffer;
  payload: Buffer;
  raw: Buffer;
}

function show(bytes: Buffer): string {
  return `${bytes.length} bytes ${bytes.toString('hex').slice(0, 200)}`;
}

export interface FrameOptions {
  opcode?: number;
  fin?: boolean;
  rsv?: number;
  mask?: boolean;
  /** What the header says, where it is not the payload's length. */
  declared?: bigint;
  form?: 7 | 16 | 64;
}

const KEY = Buffer.from([0xa1, 0xb2, 0xc3, 0xd4]);

/** Builds a frame; text with FIN where nothing else is said. */
export function frame(payload: string | Buffer, options: FrameOptions = {}): Buffer {
  const body = Buffer.from(payload);
  const { opcode = 1, fin = true, rsv = 0, mask = false, declared = BigInt(body.length) } = options;
  const form = options.form ?? (declared < 126n ? 7 : declared < 65_536n ? 16 : 64);
  const head = Buffer.alloc(2 + (form === 16 ? 2 : form === 64 ? 8 : 0));
  head[0] = (fin ? 128 : 0) | (rsv << 4) | opcode;
  head[1] = (mask ? 128 : 0) | (form === 7 ? Number(declared) : form === 16 ? 126 : 127);
  if (form === 16) head.writeUInt16BE(Number(declared), 2);
  if (form === 64) head.writeBigUInt64BE(declared, 2);
  if (!mask) return Buffer.concat([head, body]);
  return Buffer.concat([head, KEY, body.map((byte, i) => byte ^ KEY[i % 4]!)]);
}

export function closeFrame(code: number, options: FrameOptions = {}): Buffer {
  return frame(Buffer.from([code >> 8, code & 255]), { ...options, opcode: 8 });
}

export interface TunnelFixture {
  readonly engine: RelayEngine;
  readonly client: Peer;
  readonly backend: Peer;
  readonly tunnel: Tunnel;
  readonly end: Promise<TunnelEnd>;
  /** How often onEnd was called. */
  ends(): number;
}

export interface TunnelFixtureOptions extends Partial<TunnelOptions> {
  /** What the backend sent behind its 101, and the client behind its handshake. */
  early?: { toClient?: Buffer; toBackend?: Buffer };
  /** Called with the gateway's sockets before they are handed over. */
  before?: (client: net.Socket, backend: net.Socket, peers: { client: Peer; backend: Peer }) => Promise<void> | void;
}

const PSK = { ciphers: 'PSK-AES128-GCM-SHA256', maxVersion: 'TLSv1.2' } as const;
const psk = Buffer.from('a key both ends of a test know');

/** Both ends of one loopback connection: as connected, and as accepted. */
export async function connect(transport: 'plain' | 'tls'): Promise<{ dialled: net.Socket; accepted: net.Socket }> {
  const server =
    transport === 'plain'
      ? net.createServer({ allowHalfOpen: true, noDelay: true })
      : tls.createServer({ ...PSK, allowHalfOpen: true, noDelay: true, pskCallback: () => psk } as tls.TlsOptions);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  const accepting = once(server, transport === 'plain' ? 'connection' : 'secureConnection');
  const options = { host: '127.0.0.1', port, allowHalfOpen: true };
  const dialled =
    transport === 'plain'
      ? net.connect(options)
      : tls.connect({
          ...options,
          ...PSK,
          checkServerIdentity: () => undefined,
          pskCallback: () => ({ psk, identity: 'test' }),
        } as tls.ConnectionOptions);
  const [accepted] = (await accepting) as [net.Socket];
  if (transport === 'plain' ? dialled.connecting : !(dialled as tls.TLSSocket).getCipher()?.name) {
    await once(dialled, transport === 'plain' ? 'connect' : 'secureConnect');
  }
  dialled.setNoDelay(true);
  server.close();
  return { dialled, accepted };
}

/** Opens a tunnel; the head of the 101 is already taken from what the client got. */
export async function openTunnel(
  engine: RelayEngine,
  transport: Transport,
  options: TunnelFixtureOptions = {},
): Promise<TunnelFixture> {
  const { early = {}, before, ...rest } = options;
  const front = transport === 'threads' ? await connectThreads(engine) : await connect(transport);
  const back = await connect(transport === 'threads' ? 'plain' : transport);
  const client = new Peer(front.dialled, 'below' in front ? front.below : front.dialled);
  const backend = new Peer(back.accepted);
  // A test that touches the gateway's socket first gets a stream of the plain bytes.
  const accepted = before === undefined ? front.accepted : asStream(front.accepted);
  if (before !== undefined) await before(accepted as net.Socket, back.dialled, { client, backend });
  let calls = 0;
  let inside = true;
  let tunnel: Tunnel | undefined;
  const end = new Promise<TunnelEnd>((resolve, reject) => {
    tunnel = engine.open(
      {
        client: accepted,
        backend: back.dialled,
        toClient: Buffer.concat([HEAD, early.toClient ?? Buffer.alloc(0)]),
        headLength: HEAD.length,
        toBackend: early.toBackend ?? Buffer.alloc(0),
      },
      { ...OPTIONS, ...rest },
      (told) => {
        calls++;
        if (inside) reject(new Error('onEnd from inside open()'));
        resolve(told);
      },
    );
    inside = false;
  });
  if (before === undefined) await client.expect(HEAD);
  return { engine, client, backend, tunnel: tunnel!, end, ends: () => calls };
}

/** The value of a sampled series, 0 where there is none. */
export function sampled(engine: RelayEngine, metric: string, labels: Record<string, string>): number {
  const fits = (sample: Sample) =>
    sample.metric === metric && Object.entries(labels).every(([key, value]) => sample.labels[key] === value);
  return [...engine.sample()].filter(fits).reduce((sum, sample) => sum + sample.value, 0);
}
