// llhttp, which node reads requests with, over bytes: the oracle for a reader of our own. Through node's binding, which is not
// documented and the same in node 20 to 26.
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
