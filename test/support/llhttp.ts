// llhttp, which node reads requests and answers with, over bytes: the oracle for readers of our own. Through node's binding,
// which is not documented and the same in node 20 to 26.
import { createRequire } from 'node:module';

/** One request as a reader sees it. */
export interface ReadRequest {
  readonly method: string;
  readonly target: string;
  readonly version: string;
  readonly fields: readonly string[];
  /** What has come of its body, as latin1. */
  content: string;
  trailers: readonly string[];
  /** Whether its end was found. */
  complete: boolean;
}

/** The requests in some bytes, and what became of the connection behind them. */
export interface ReadRequests {
  readonly requests: readonly ReadRequest[];
  /** `open`: more is awaited; `over`: nothing may follow, or what follows is no HTTP/1.1. */
  readonly end: 'open' | 'over' | 'refused';
}

interface Parser {
  initialize(type: number, resource: object, maxHeaderSize: number, lenient: number): void;
  execute(bytes: Buffer): number | Error;
  /** Without it the parser is kept for ever. */
  close(): void;
  [callback: number]: unknown;
}

interface Common {
  readonly HTTPParser: (new () => Parser) & Record<string, number>;
  readonly allMethods?: readonly string[];
  readonly methods: readonly string[];
}

const { HTTPParser, allMethods, methods } = createRequire(import.meta.url)('_http_common') as Common;

/** The methods it knows. */
export const LLHTTP_METHODS: ReadonlySet<string> = new Set(allMethods ?? methods);
const names = allMethods ?? methods;

/** The callbacks' arguments, as node's own `_http_common` takes them. */
type OnHead = [number, number, string[] | undefined, number, string | undefined, unknown, unknown, boolean];

/** Whatever llhttp makes of the bytes. */
export function readByLlhttp(bytes: Buffer, largest: number): ReadRequests {
  const parser = new HTTPParser();
  const requests: ReadRequest[] = [];
  let flushed: string[] = [];
  let target = '';
  let upgrades = false;
  const on = (name: string, callback: unknown): void => {
    parser[HTTPParser[name] as number] = callback;
  };
  on('kOnHeaders', (fields: string[], url: string) => {
    flushed.push(...fields);
    target += url;
  });
  on('kOnHeadersComplete', (...[major, minor, fields, method, url, , , upgrade]: OnHead) => {
    requests.push({
      method: names[method] ?? '',
      target: target + (url ?? ''),
      version: `${major}.${minor}`,
      fields: [...flushed, ...(fields ?? [])],
      content: '',
      trailers: [],
      complete: false,
    });
    flushed = [];
    target = '';
    upgrades ||= upgrade;
    return 0;
  });
  const last = (): ReadRequest => requests[requests.length - 1] as ReadRequest;
  on('kOnBody', (part: Buffer) => {
    last().content += part.toString('latin1');
  });
  on('kOnMessageComplete', () => {
    Object.assign(last(), { trailers: flushed, complete: true });
    flushed = [];
    // Trailers come with the target of their request once more.
    target = '';
  });
  parser.initialize(HTTPParser['REQUEST'] as number, {}, largest, 0);
  const read = parser.execute(bytes);
  parser.close();
  if (typeof read !== 'number') return { requests, end: 'refused' };
  return { requests, end: upgrades ? 'over' : 'open' };
}

/** An answer as llhttp reads it. */
export interface ReadAnswer {
  readonly status: number;
  readonly version: string;
  readonly phrase: string;
  readonly fields: readonly string[];
  /** Null where its end was not found: a body until close has none here. */
  readonly body: Buffer | null;
}

type OnAnswerHead = [number, number, string[] | undefined, unknown, unknown, number, string | undefined];

/** node's own words for what follows a head (`parserOnHeadersComplete`). */
const [READ_BODY, SKIP_BODY] = [0, 1];

/** The first answer in some bytes that is not interim, as one to a GET or a handshake; null where llhttp finds none. */
export function readAnswerByLlhttp(bytes: Buffer, largest: number): ReadAnswer | null {
  const parser = new HTTPParser();
  let answer: Omit<ReadAnswer, 'body'> | null = null;
  let flushed: string[] = [];
  const parts: Buffer[] = [];
  let complete = false;
  const on = (name: string, callback: unknown): void => {
    parser[HTTPParser[name] as number] = callback;
  };
  on('kOnHeaders', (fields: string[]) => void flushed.push(...fields));
  on('kOnHeadersComplete', (...[major, minor, fields, , , status, phrase]: OnAnswerHead) => {
    const all = [...flushed, ...(fields ?? [])];
    flushed = [];
    if (answer !== null) return SKIP_BODY;
    if (status < 200 && status !== 101) return SKIP_BODY;
    answer = { status, version: `${major}.${minor}`, phrase: phrase ?? '', fields: all };
    return READ_BODY;
  });
  on('kOnBody', (part: Buffer) => {
    if (!complete) parts.push(Buffer.from(part));
  });
  on('kOnMessageComplete', () => {
    flushed = [];
    complete ||= answer !== null;
  });
  parser.initialize(HTTPParser['RESPONSE'] as number, {}, largest, 0);
  parser.execute(bytes);
  parser.close();
  if (answer === null) return null;
  return { ...(answer as Omit<ReadAnswer, 'body'>), body: complete ? Buffer.concat(parts) : null };
}
