// The heads of a client's requests, one behind the other, collected from the bytes as they come and read strictly
// (RFC 9112 §2, §3, §5). Line by line in one pass, so that the time is linear and the same bytes are the same head, or the
// same fault, however they are cut. Whether a head that is well-formed may be routed is head.ts. Pure.
import { type FieldSection, pushFieldLine } from './fields.ts';
import { MAX_FIELDS } from './head.ts';
import type { Fault } from './target.ts';

/** Request line and fields, as they came. */
export interface ReceivedRequest extends FieldSection {
  readonly method: string;
  /** The request-target, in any of its forms. */
  readonly target: string;
  /** `1.0` or `1.1`. */
  readonly version: string;
}

/** A whole head, and how many of the bytes given last are its own: the body, or the next request, stands behind them. */
export interface RequestStart {
  readonly head: ReceivedRequest;
  readonly taken: number;
}

/** Why bytes are no head; `tooLarge`: they might have become one. Nothing can be read behind it. */
export interface HeadFault extends Fault {
  readonly tooLarge?: true;
}

const CRLF = '\r\n';
const HEAD_END = Buffer.from('\r\n\r\n');

const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e]+) HTTP\/(1\.[01])\r\n$/;
/** What may stand nowhere in a head: controls other than HTAB, and a CR without its LF (RFC 9112 §2.2, RFC 9110 §5.5). */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const CONTROL = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r[^\n]/;

export class RequestReader {
  readonly #largest: number;
  /** Bytes of this head so far. */
  #size = 0;
  /** The beginning of a line whose end has not come. */
  #line = '';
  /** Whether that ends with a CR. */
  #cr = false;
  #skipped = false;
  #first: RegExpExecArray | null = null;
  #fields: string[] = [];
  #names: string[] = [];

  /** `largest`: bytes of a head, the empty lines before and behind it included. */
  constructor(largest: number) {
    this.#largest = largest;
  }

  /** Whether something of a head has come, and not all of it; the empty line that may stand before one is nothing of it. */
  get begun(): boolean {
    return this.#first !== null || this.#line !== '';
  }

  /** A head, a fault, or null while more is needed. Behind a head it begins anew, behind a fault it is of no more use. */
  take(bytes: Buffer): RequestStart | HeadFault | null {
    const end = bytes.indexOf(HEAD_END);
    const room = this.#largest - this.#size;
    // What stands behind the head is not decoded, where its end can be seen.
    const text = bytes.toString('latin1', 0, Math.min(end === -1 ? bytes.length : end + HEAD_END.length, room));
    let at = 0;
    for (let lf = text.indexOf('\n'); lf !== -1; lf = text.indexOf('\n', at)) {
      const line = this.#line + text.slice(at, lf + 1);
      at = lf + 1;
      this.#line = '';
      this.#cr = false;
      const fault = this.#endLine(line);
      if (fault === null) continue;
      return fault === END ? { head: this.#takeHead(), taken: at } : fault;
    }
    this.#size += text.length;
    return this.#hold(text.slice(at)) ?? (text.length < bytes.length ? TOO_LARGE : null);
  }

  /** Keeps the beginning of a line; a fault where no end can make one of it: such a client may wait for us. */
  #hold(part: string): HeadFault | null {
    const seen = this.#cr ? `\r${part}` : part;
    this.#line += part;
    this.#cr = seen.endsWith('\r');
    return CONTROL.test(seen) ? this.#fault(this.#line) : null;
  }

  /** Judges a whole line: null where another one follows. */
  #endLine(line: string): HeadFault | typeof END | null {
    if (line === CRLF) return this.#endEmpty();
    if (this.#first === null) {
      this.#first = REQUEST_LINE.exec(line);
      return this.#first === null ? this.#fault(line) : null;
    }
    if (!line.endsWith(CRLF) || !pushFieldLine(line.slice(0, -2), this.#fields, this.#names)) return this.#fault(line);
    return this.#names.length > MAX_FIELDS ? TOO_MANY : null;
  }

  /** One empty line before a request is skipped: clients of old sent one behind a body (RFC 9112 §2.2). */
  #endEmpty(): HeadFault | typeof END | null {
    if (this.#first !== null) return END;
    if (this.#skipped) return { fault: NO_METHOD };
    this.#skipped = true;
    return null;
  }

  #takeHead(): ReceivedRequest {
    const [, method, target, version] = this.#first as RegExpExecArray as unknown as [string, string, string, string];
    const head = { method, target, version, fields: this.#fields, names: this.#names };
    this.#size = 0;
    this.#skipped = false;
    this.#first = null;
    this.#fields = [];
    this.#names = [];
    return head;
  }

  #fault(line: string): HeadFault {
    return { fault: this.#first === null ? requestLineFault(line) : fieldLineFault(line) };
  }
}

const END = 'end';
const TOO_LARGE: HeadFault = { fault: 'the head of the request is too large', tooLarge: true };
const TOO_MANY: HeadFault = { fault: `a head has at most ${MAX_FIELDS} fields`, tooLarge: true };
const NO_METHOD = 'the request does not begin with a method';

/** The first octet of a TLS record that begins a handshake. */
const TLS_HANDSHAKE = '\x16';

/** What is wrong with a request line, or with the beginning of one. */
function requestLineFault(line: string): string {
  if (line.startsWith(TLS_HANDSHAKE)) return 'this is TLS, but plain HTTP is expected here';
  const wrong = lineFault(line);
  if (wrong !== null) return wrong;
  if (line.startsWith('PROXY ')) return 'a PROXY protocol preamble comes first, and none is expected here';
  if (line.startsWith('PRI * HTTP/2')) return 'this is HTTP/2, but HTTP/1.1 is expected here';
  const [method = '', target = '', version = ''] = line.split(' ');
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(method)) return NO_METHOD;
  if (/[^\x21-\x7e]/.test(target.trimEnd()))
    return 'the target holds an octet that must be percent-encoded, such as one beyond ASCII or a blank';
  if (/^HTTP\/\d/.test(version)) return 'the HTTP version is not 1.0 or 1.1';
  return 'no HTTP version stands behind the target, or the target holds a blank';
}

function fieldLineFault(line: string): string {
  const wrong = lineFault(line);
  if (wrong !== null) return wrong;
  if (line.startsWith(' ') || line.startsWith('\t')) return 'a field is folded over more than one line';
  if (/^[^:]*[ \t]:/.test(line)) return 'a blank stands before the colon of a field';
  return 'the name of a field is no token';
}

/** What is wrong with a line of any kind; the same for its beginning, where that is there already. */
function lineFault(line: string): string | null {
  const control = CONTROL.exec(line)?.[0];
  if (control !== undefined)
    return control.startsWith('\r') ? 'a CR stands without its LF' : 'a control character stands in the head';
  return line.endsWith('\n') && !line.endsWith(CRLF) ? 'a line does not end with CR LF' : null;
}
