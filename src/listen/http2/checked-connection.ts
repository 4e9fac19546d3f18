// A connection of HTTP/2 for an nghttp2 before 1.68.1 (node 20 has 1.61.0, and gets no fixes), which reads on when its
// session has been ended from within a callback; a frame of a wrong size then ends the process (CVE-2026-27135). So it gets
// one frame at a time and nothing once the session is over, and of malformed frames nothing at all. And that nghttp2 has given a
// session up is read from what it writes.
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { guarded } from '../../base/guard.ts';
import { FrameCheck } from './frame-check.ts';
import { GoawayWatch } from './goaway-watch.ts';

type Callback = (error?: Error | null) => void;

/** One read may hold thousands of small frames, each of which costs nghttp2 and node some microseconds: other connections wait so long. */
const FRAMES_A_TURN = 64;
const NOTHING = Buffer.alloc(0);

/** The first nghttp2 without the fault. */
const FIXED = [1, 68, 1];

/** Whether that version of nghttp2, such as `1.61.0`, needs its frames checked. */
export function readsOnBehindErrors(nghttp2: string): boolean {
  const version = nghttp2.split('.').map(Number);
  const at = FIXED.findIndex((part, i) => part !== (version[i] ?? 0));
  return at !== -1 && (version[at] ?? 0) < (FIXED[at] as number);
}

/** What the session of a connection is asked and told. */
export interface CheckedSession {
  /** Whether it takes no more frames. */
  readonly over: boolean;
  /** The client has sent a malformed frame: to be ended with this error code. */
  malformed(code: number): void;
  /** nghttp2 has told the client an error of the connection, and reads nothing more: to be ended. */
  gaveUp(): void;
}

/** To be given to node's `http2` in place of the socket. */
export class CheckedConnection extends Duplex {
  /** Set once there is one, before anything has come. */
  session: CheckedSession | null = null;
  readonly #socket: Socket;
  readonly #check = new FrameCheck();
  readonly #watch = new GoawayWatch();
  /** What was read, and waits for its turn; nothing more is read meanwhile. */
  #rest: Buffer = NOTHING;

  constructor(socket: Socket) {
    super({ allowHalfOpen: true, decodeStrings: false });
    this.#socket = socket;
    socket
      .on('data', this.#take)
      .once('close', () => void this.destroy())
      .pause();
  }

  override _read(): void {
    if (this.#rest.length === 0) this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: Callback): void {
    this.#give(chunk, callback);
  }

  /** Frames that nghttp2 gives away together leave together. */
  override _writev(chunks: { chunk: Buffer }[], callback: Callback): void {
    this.#give(Buffer.concat(chunks.map(({ chunk }) => chunk)), callback);
  }

  #give(bytes: Buffer, callback: Callback): void {
    // The GOAWAY of a fault is the last frame: node's own would be a second one.
    if (this.#check.fault !== null) return void callback();
    if (!this.#watch.take(bytes)) return void this.#socket.write(bytes, callback);
    this.#socket.write(
      bytes,
      guarded('connection', (error) => {
        callback(error);
        this.session?.gaveUp();
      }),
    );
  }

  override _final(callback: Callback): void {
    this.#socket.end(() => callback());
  }

  override _destroy(error: Error | null, callback: Callback): void {
    this.#socket.destroy();
    callback(error);
  }

  readonly #take = guarded(
    'connection',
    (bytes: Buffer) => {
      let [at, wanted] = [0, true];
      for (let frames = 0; at < bytes.length && frames < FRAMES_A_TURN && this.#reads; frames++) {
        const end = this.#check.next(bytes, at);
        if (this.#check.fault === null) wanted = this.push(bytes.subarray(at, end));
        else this.#refuse(this.#check.fault);
        at = end;
      }
      this.#rest = this.#reads ? bytes.subarray(at) : NOTHING;
      if (this.#rest.length > 0) setImmediate(this.#takeRest);
      if (this.#rest.length > 0 || !wanted) this.#socket.pause();
      else this.#socket.resume();
    },
    () => void this.destroy(),
  );

  readonly #takeRest = (): void => this.#take(this.#rest);

  /** Whether frames still mean something. */
  get #reads(): boolean {
    return this.#check.fault === null && this.session !== null && !this.session.over;
  }

  #refuse(fault: number): void {
    // node leaves its own out where something is being written just now.
    this.#socket.write(goaway(fault));
    this.session?.malformed(fault);
  }
}

/** RFC 9113 §6.8; any stream may have been processed. */
function goaway(code: number): Buffer {
  const frame = Buffer.alloc(17);
  frame[2] = 8;
  frame[3] = 7;
  frame.writeUInt32BE(0x7fffffff, 9);
  frame.writeUInt32BE(code, 13);
  return frame;
}
