// The head of a connection's first request, read by node's own parser before the connection has become a socket of node's.
// Only a handshake that came whole is read here; everything else is left to node's server, from its first byte on.
import { wantsWebSocket } from '../handshake/handshake.ts';
import { lowerNames } from '../http/fields.ts';
import type { MessageLike } from '../http/head.ts';
import { type HttpParser, type HttpParserClass, loadHttpParser } from '../net/node-internals.ts';

/** A handshake by its Upgrade and Connection, and where in the bytes its head ends. */
export interface ParsedRequestHead {
  readonly message: MessageLike;
  readonly end: number;
}

/** llhttp's number of GET. */
const GET = 1;
/** The answer to node's parser that a request is an upgrade: it stops behind the head. */
const UPGRADES = 2;
const G = 0x47;

const SAMPLE = 'GET /a HTTP/1.1\r\nHost: b\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n';

/** The parser of one listener. */
export class RequestHeadParser {
  readonly #type: number;
  readonly #parser: HttpParser;
  readonly #resource = {};
  #read: MessageLike | null = null;

  private constructor(Parser: HttpParserClass) {
    this.#type = Parser.REQUEST;
    this.#parser = new Parser();
    this.#parser[Parser.kOnHeaders] = this.#onMany;
    this.#parser[Parser.kOnHeadersComplete] = this.#onHead;
  }

  /** Null where this node's parser does not do what it is asked here: its server has to read every head then. */
  static create(): RequestHeadParser | null {
    try {
      const heads = new RequestHeadParser(loadHttpParser());
      const read = heads.read(Buffer.from(`${SAMPLE}c`), 1024);
      const { message, end } = read ?? { message: null, end: 0 };
      const fits = end === SAMPLE.length && message?.url === '/a' && message.rawHeaders.join(' ').endsWith(' Upgrade');
      return fits && heads.read(Buffer.from('GET / HTTP/1.1\r\nHost: b\r\n\r\n'), 1024) === null ? heads : null;
    } catch {
      return null;
    }
  }

  /** The handshake that these bytes begin with; null where they don't, or it is not whole, or not well-formed. */
  read(bytes: Buffer, maxHead: number): ParsedRequestHead | null {
    if (bytes[0] !== G) return null;
    this.#read = null;
    this.#parser.initialize(this.#type, this.#resource, maxHead, 0);
    const end = this.#parser.execute(bytes);
    const message = this.#read;
    this.#read = null;
    return message === null || typeof end !== 'number' ? null : { message, end };
  }

  /** More fields than node's parser gives at once: it would have to be asked again. */
  readonly #onMany = (): void => undefined;

  /** node's parser calls this with what it has read; see parserOnHeadersComplete in node's `_http_common`. */
  readonly #onHead = (
    ...[major, minor, rawHeaders, method, url, , , upgrade]: [
      number,
      number,
      string[] | undefined,
      number,
      string | undefined,
      unknown,
      unknown,
      boolean,
    ]
  ): number => {
    if (method !== GET || rawHeaders === undefined || url === undefined) return UPGRADES;
    // The parser sees no upgrade in a Connection with a tab behind it, which others strip (RFC 9110 §5.6.3).
    if (upgrade || wantsWebSocket({ fields: rawHeaders, names: lowerNames(rawHeaders) })) {
      this.#read = { method: 'GET', url, httpVersion: `${major}.${minor}`, rawHeaders };
    }
    return UPGRADES;
  };
}
