// Everything of node that is used here and that its documentation does not name. No other file touches such a thing, which
// test/architecture.test.ts checks. Each has the reason why no public interface does it. All of it is the same in node 20 to
// 26; test/unit/net/node-internals.test.ts says so for the node that it runs on.

import { randomBytes } from 'node:crypto';
import type { Server, ServerResponse } from 'node:http';
import { type Server as NetServer, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  createSecureContext,
  createServer,
  type SecureContext,
  type TLSSocket,
  type TlsOptions,
  type Server as TlsServer,
} from 'node:tls';
import { reportDefect } from '../base/guard.ts';
import type { TicketKey } from './ticket-keys.ts';

/** The part of libuv's stream handle, as node keeps it, that is used here; a unix socket's may have less. */
interface StreamHandle {
  readonly fd?: number;
  reading: boolean;
  readStart(): number;
  readStop(): number;
  close(): void;
  useUserBuffer?(buffer: Buffer): void;
}

/** Of a socket or a listening server; null or undefined where it is closed. */
function handleOf(of: Duplex | NetServer): StreamHandle | null {
  return (of as { readonly _handle?: StreamHandle | null })._handle ?? null;
}

/**
 * The descriptor of a socket or of a listening server; -1 where it has none (any more). There is no public way to ask, and
 * the native relay takes connections over by their descriptors.
 */
export function descriptorOf(of: Duplex | NetServer): number {
  return handleOf(of)?.fd ?? -1;
}

/**
 * Closes the listening socket of a server, which the native acceptor has a copy of. In contrast to `close()` the server goes
 * on enforcing its timeouts on the connections that it is given, and its idle ones are not ended.
 */
export function closeListeningSocket(server: NetServer): void {
  handleOf(server)?.close();
}

/**
 * Has the system read for a socket. node's HTTP parser reads past the stream and stops by itself where nobody takes a body;
 * once it is removed, the stream takes itself for reading, and `resume()` starts nothing.
 */
export function startReadingHandle(socket: Duplex): void {
  const handle = handleOf(socket);
  if (handle === null) return;
  handle.reading = true;
  handle.readStart();
}

/** Stops it at once: `pause()` lets one more read happen, whose bytes a relay that takes the descriptor would not see. */
export function stopReadingHandle(socket: Duplex): void {
  const handle = handleOf(socket);
  if (handle === null) return;
  handle.readStop();
  handle.reading = false;
}

/** The response that a connection of an HTTP server is busy with, or null: its next one has to wait for that. */
export function responseUnderWay(socket: Duplex): ServerResponse | null {
  return (socket as { readonly _httpMessage?: ServerResponse | null })._httpMessage ?? null;
}

/** The connection that TLS runs over; null where there is none. It is known by more than its address (actions/peer.ts). */
export function connectionBelow(socket: Duplex): Socket | null {
  return (socket as { readonly _parent?: Socket | null })._parent ?? null;
}

/**
 * Has a server serve what was asked before a FIN, where nobody closes the connection then. node's default is to end its own
 * side at a FIN, whatever is still to be answered, and it has no documented option for that.
 */
export function serveBehindFin(server: Server): void {
  (server as Server & { httpAllowHalfOpen: boolean }).httpAllowHalfOpen = true;
}

/** How long a head may be on connections to come: an option of a new server, and of one that is there only this. */
export function setMaxHeaderSize(server: Server, bytes: number): void {
  (server as Server & { maxHeaderSize: number }).maxHeaderSize = bytes;
}

/**
 * What node does with a connection behind its last answer (`Connection: close`). By itself it closes it at once, which with
 * unread input is a RST (RFC 9112 §9.6).
 */
export function onLastAnswer(socket: Socket, end: (this: Socket) => void): void {
  socket.destroySoon = end;
}

type Picker = NonNullable<TlsOptions['SNICallback']>;

/**
 * An SNICallback that is told which connection it is asked for. node's documentation gives it the name alone; it calls it
 * as a method of the connection.
 */
export function sniCallback(pick: (name: string, socket: TLSSocket, done: Parameters<Picker>[1]) => void): Picker {
  return function onServerName(this: unknown, name, done) {
    pick(name, this as TLSSocket, done);
  } satisfies Picker;
}

/**
 * What sets or removes the SNICallback of a server that is there; null where this node does it differently. A server with
 * one certificate has none, since node stops every handshake to ask a callback, which costs a tenth of it. A reload may
 * bring a second one, and node has no call for that.
 */
export function findSniCallbackSetter(): ((server: TlsServer, callback: Picker | undefined) => void) | null {
  const probed: Picker = (_, done) => done(null);
  const probe = symbolsOf(createServer({ SNICallback: probed }));
  const keys = Object.getOwnPropertySymbols(probe).filter((key) => probe[key] === probed);
  const [key] = keys;
  if (key === undefined || keys.length > 1) return null;
  return (server, callback) => {
    symbolsOf(server)[key] = callback;
  };
}

/** What OpenSSL is told of a ticket: 0 no key of it is known, 1 take it, 2 take it and give a new one; then its keys. */
type TicketAnswer = readonly [0 | 1 | 2, hmac: Buffer, aes: Buffer, name: Buffer, iv: Buffer];

interface NativeContext {
  enableTicketKeyCallback?(): void;
  onticketkeycallback?: (name: Buffer, iv: Buffer, encrypt: boolean) => TicketAnswer;
}

/** The default context of a TLS server, which `setSecureContext` replaces. */
export function sharedContext(server: TlsServer): SecureContext {
  return (server as TlsServer & { readonly _sharedCreds: SecureContext })._sharedCreds;
}

/** Has a context ask for the keys of session tickets whenever it needs one: the first encrypts, all decrypt. */
export type SetTicketKeys = (context: SecureContext, keys: () => readonly TicketKey[]) => void;

/**
 * What does so; null where this node does it differently. Its documented `ticketKeys` is a single key: whoever replaces that
 * ends the resumption of every session there is. The context of a server and those that SNI picks need it alike.
 */
export function findTicketKeysSetter(): SetTicketKeys | null {
  const native = (context: SecureContext): NativeContext => context.context as NativeContext;
  if (typeof native(createSecureContext()).enableTicketKeyCallback !== 'function') return null;
  return (context, keys) => {
    native(context).onticketkeycallback = (name, _iv, encrypt) => ticketAnswer(keys, encrypt ? null : name);
    native(context).enableTicketKeyCallback?.();
  };
}

/** Never throws: OpenSSL calls it. Without a key the handshake goes on, and no session is resumed. */
function ticketAnswer(keys: () => readonly TicketKey[], name: Buffer | null): TicketAnswer {
  try {
    const all = keys();
    const at = name === null ? 0 : all.findIndex((key) => key.name.equals(name));
    const key = all[at];
    if (key === undefined) return NO_TICKET;
    return [at === 0 ? 1 : 2, key.hmac, key.aes, key.name, randomBytes(TICKET_PART)];
  } catch (thrown) {
    reportDefect('connection', thrown);
    return NO_TICKET;
  }
}

const TICKET_PART = 16;
const NOTHING = Buffer.alloc(TICKET_PART);
const NO_TICKET: TicketAnswer = [0, NOTHING, NOTHING, NOTHING, NOTHING];

/** Called with how many bytes were read into the buffer; true: it is read on. */
export type ReadCallback = (this: Socket, count: number) => boolean;

/** Has a socket, whose own buffer is empty, read into `buffer`. False: it can't; listen for `data`. */
export type ReadInto = (socket: Duplex, buffer: Buffer, callback: ReadCallback) => boolean;

/**
 * What does the same for a socket that is there as the option `onread` for one that net.connect() makes; null where this
 * node does it differently.
 */
export function findReadInto(): ReadInto | null {
  const callback = (): boolean => true;
  const buffer = Buffer.alloc(1);
  const probe = new Socket({ onread: { buffer, callback } } as ConstructorParameters<typeof Socket>[0]);
  const plain = symbolsOf(new Socket());
  const named = (name: string) => Object.getOwnPropertySymbols(probe).find((key) => key.description === name);
  const [kBuffer, kCallback, kGenerator] = [named('kBuffer'), named('kBufferCb'), named('kBufferGen')];
  if (kBuffer === undefined || kCallback === undefined || kGenerator === undefined) return null;
  const held = symbolsOf(probe);
  if (held[kBuffer] !== buffer || held[kCallback] !== callback || plain[kGenerator] !== null) return null;
  return (socket, into, onRead) => {
    const handle = handleOf(socket);
    if (typeof handle?.useUserBuffer !== 'function') return false;
    const switched = symbolsOf(socket);
    switched[kBuffer] = into;
    switched[kCallback] = onRead;
    handle.useUserBuffer(into);
    return true;
  };
}

function symbolsOf(of: object): Record<symbol, unknown> {
  return of as Record<symbol, unknown>;
}
