// The first message of a TLS client (RFC 8446 §4.1.2), read before TLS itself gets it: which name is asked for, which protocols
// are offered, which versions are known. Only to choose who serves a connection: what is no such message is not judged
// here, whoever speaks TLS then has the last word. Pure; nothing is decrypted, for a ClientHello is plain.

/** What a client says of itself in the clear. */
export interface ClientHello {
  /** `host_name` of server_name (RFC 6066 §3), in small letters; null: none. */
  readonly serverName: string | null;
  /** What it offers by ALPN (RFC 7301 §3.1), preferred ones first, octets as latin1; empty: no ALPN. */
  readonly protocols: readonly string[];
  /** Versions as on the wire, 0x0304 for TLS 1.3: supported_versions (RFC 8446 §4.2.1), else the one of the message. */
  readonly versions: readonly number[];
}

/**
 * As many bytes of a connection are read at most: a record of the largest size. Browsers send 2 KiB, of which more than a
 * half is a post-quantum key.
 */
export const LONGEST_CLIENT_HELLO = 5 + 2 ** 14;

const RECORD_HEAD = 5;
const MESSAGE_HEAD = 4;
const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const LONGEST_FRAGMENT = 2 ** 14;

const HOST_NAME = 0;
const SERVER_NAME = 0;
const ALPN = 16;
const SUPPORTED_VERSIONS = 43;

/** RFC 1035 §2.3.4, as text. */
const LONGEST_NAME = 255;
/** RFC 6066 §3: a name is ASCII; a control character or a space in it is no name. */
const NAME = /^[\x21-\x7e]+$/;

/** Reads one ClientHello from the first bytes of a connection, over any number of records and reads. Never throws. */
export class ClientHelloReader {
  #taken = 0;
  /** The head of the record under way, as far as it came. */
  readonly #head: number[] = [];
  /** How much of the record's fragment is to come; 0: a head is. */
  #left = 0;
  #message = Buffer.alloc(0);
  #length = 0;

  /**
   * Takes the next bytes, in linear time over all calls. Null: more are needed; `none`: it is no ClientHello, or a longer one
   * than anybody sends. Not to be called again once it has given anything but null.
   */
  read(chunk: Uint8Array): ClientHello | 'none' | null {
    const bytes = chunk.subarray(0, LONGEST_CLIENT_HELLO - this.#taken);
    this.#taken += bytes.length;
    for (let at = 0; at < bytes.length; ) {
      if (this.#left === 0) {
        if (!this.#readHead(bytes[at++] as number)) return 'none';
        continue;
      }
      const fragment = bytes.subarray(at, at + this.#left);
      at += fragment.length;
      this.#left -= fragment.length;
      this.#append(fragment);
      const found = this.#readMessage();
      if (found !== null) return found;
    }
    return this.#taken === LONGEST_CLIENT_HELLO ? 'none' : null;
  }

  /** Takes an octet of a record's head (RFC 8446 §5.1); false: it is none, or that of a record of something else. */
  #readHead(octet: number): boolean {
    const head = this.#head;
    head.push(octet);
    const [type = HANDSHAKE, major = 3, , high = 0, low = 0] = head;
    if (type !== HANDSHAKE || major !== 3) return false;
    if (head.length < RECORD_HEAD) return true;
    this.#left = high * 256 + low;
    head.length = 0;
    return this.#left > 0 && this.#left <= LONGEST_FRAGMENT;
  }

  #append(fragment: Uint8Array): void {
    const length = this.#length + fragment.length;
    if (length > this.#message.length) {
      const longer = Buffer.alloc(Math.max(length, 2 * this.#message.length));
      this.#message.copy(longer);
      this.#message = longer;
    }
    this.#message.set(fragment, this.#length);
    this.#length = length;
  }

  #readMessage(): ClientHello | 'none' | null {
    if (this.#message[0] !== CLIENT_HELLO) return 'none';
    if (this.#length < MESSAGE_HEAD) return null;
    const end = MESSAGE_HEAD + this.#message.readUIntBE(1, 3);
    if (end > LONGEST_CLIENT_HELLO) return 'none';
    if (this.#length < end) return null;
    try {
      return readBody(new Vector(this.#message.subarray(MESSAGE_HEAD, end)));
    } catch (error) {
      if (error instanceof RangeError) return 'none';
      throw error;
    }
  }
}

/** Octets that are taken from the front (RFC 8446 §3.4); a RangeError where there are not as many. */
class Vector {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get empty(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** A number of one to three octets. */
  number(octets: number): number {
    return this.#take(octets).readUIntBE(0, octets);
  }

  /** A vector behind a length of one or two octets. */
  vector(lengthOctets: number): Vector {
    return new Vector(this.#take(this.number(lengthOctets)));
  }

  skip(octets: number): void {
    this.#take(octets);
  }

  /** All that is left, octets as latin1. */
  text(): string {
    return this.#take(this.#bytes.length - this.#at).toString('latin1');
  }

  #take(octets: number): Buffer {
    if (this.#bytes.length - this.#at < octets) throw new RangeError('the message ends within a field');
    this.#at += octets;
    return this.#bytes.subarray(this.#at - octets, this.#at);
  }
}

/** RFC 8446 §4.1.2, and RFC 5246 §7.4.1.2 where there may be no extensions at all. */
function readBody(body: Vector): ClientHello {
  const version = body.number(2);
  body.skip(32); // random
  body.vector(1); // legacy_session_id
  body.vector(2); // cipher_suites
  body.vector(1); // legacy_compression_methods
  const extensions = new Map<number, Vector>();
  const list = body.empty ? null : body.vector(2);
  if (!body.empty) throw new RangeError('octets behind the extensions');
  while (list !== null && !list.empty) {
    const type = list.number(2);
    const content = list.vector(2);
    if (extensions.has(type)) throw new RangeError('an extension twice');
    extensions.set(type, content);
  }
  return {
    serverName: serverNameOf(extensions.get(SERVER_NAME)),
    protocols: protocolsOf(extensions.get(ALPN)),
    versions: versionsOf(extensions.get(SUPPORTED_VERSIONS)) ?? [version],
  };
}

/** RFC 6066 §3: a list of one name, of the only type there is. */
function serverNameOf(extension: Vector | undefined): string | null {
  if (extension === undefined) return null;
  const list = extension.vector(2);
  if (list.number(1) !== HOST_NAME) throw new RangeError('a name of another type');
  const name = list.vector(2).text();
  if (!list.empty || name.length > LONGEST_NAME || !NAME.test(name)) throw new RangeError('no host name');
  return name.toLowerCase();
}

function protocolsOf(extension: Vector | undefined): string[] {
  const protocols: string[] = [];
  const list = extension?.vector(2);
  while (list !== undefined && !list.empty) protocols.push(list.vector(1).text());
  return protocols;
}

function versionsOf(extension: Vector | undefined): number[] | null {
  if (extension === undefined) return null;
  const versions: number[] = [];
  const list = extension.vector(1);
  while (!list.empty) versions.push(list.number(2));
  return versions;
}
