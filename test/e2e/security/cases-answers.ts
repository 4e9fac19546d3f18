// Answers of a backend that lies about where they end, or that another client could get: the request is honest, and what
// matters is what its client and the next one read (RFC 9112 §6.3, RFC 9110 §15).
import type { Case, Outcome } from './attack.ts';
import type { Script } from './canary.ts';
import { HOST, LAST } from './cases-framing.ts';

const LAST_ONLY = 'GET /public/last';
const HIDDEN = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhidden';

interface Lie extends Case {
  readonly path: string;
  readonly script: Script;
}

/** A GET of a path that is answered with these bytes, and an honest request behind it. */
const lie = (name: string, bytes: string | Script, want: Outcome['answers'], method = 'GET'): Lie => {
  const path = `/public/${name.replaceAll(/[^A-Za-z0-9]+/g, '-')}`;
  const script = typeof bytes === 'string' ? { answer: () => bytes } : bytes;
  // Where the last answer is the refusal of a broken one, the connection goes on all the same.
  const goesOn = want.length > 1;
  return {
    name,
    path,
    script,
    bytes: `${method} ${path} HTTP/1.1\r\n${HOST}\r\n\r\n${LAST}`,
    want: { answers: want, reached: [`${method} ${path}`, ...(goesOn ? [LAST_ONLY] : [])] },
  };
};
/** One that breaks behind its head: the client gets the head or nothing, and then the end of its connection. */
const broken = (name: string, bytes: string, want: Outcome['answers']): Lie => {
  const one = lie(name, bytes, want);
  const alone = [`GET ${one.path}`];
  return {
    ...one,
    or: [
      { answers: ['nothing'], reached: alone },
      { answers: want.slice(0, 1), reached: alone },
    ],
  };
};
const OK = 'HTTP/1.1 200 OK\r\n';

export const ANSWERS: readonly Lie[] = [
  lie(
    'an answer with both framings',
    `${OK}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    [502, 200],
  ),
  lie('an answer with two lengths', `${OK}Content-Length: 2\r\nContent-Length: 4\r\n\r\nokok`, [502, 200]),
  lie('an answer with two lengths alike', `${OK}Content-Length: 2\r\nContent-Length: 2\r\n\r\nok`, [502, 200]),
  lie('an answer with a list of lengths', `${OK}Content-Length: 2, 4\r\n\r\nokok`, [502, 200]),
  lie('an answer with a negative length', `${OK}Content-Length: -2\r\n\r\nok`, [502, 200]),
  lie('an answer with a huge length', `${OK}Content-Length: 18446744073709551618\r\n\r\nok`, [502, 200]),
  lie('an answer with an empty length', `${OK}Content-Length:\r\n\r\nok`, [502, 200]),
  lie('an answer with an unknown coding', `${OK}Transfer-Encoding: xchunked\r\n\r\nok`, [502, 200]),
  lie('an answer with two codings', `${OK}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`, [502, 200]),
  lie('an answer with a folded line', `${OK}X: y\r\n z\r\nContent-Length: 2\r\n\r\nok`, [502, 200]),
  lie('an answer with bare LF', `HTTP/1.1 200 OK\nContent-Length: 2\n\nok`, [502, 200]),
  lie('an answer with a bare LF between fields', `${OK}X: y\nContent-Length: 2\r\n\r\nok`, [502, 200]),
  lie('an answer with a bare CR', `${OK}X: y\rContent-Length: 0\r\nContent-Length: 2\r\n\r\nok`, [502, 200]),
  lie('an answer with a NUL', `${OK}X: y\0z\r\nContent-Length: 2\r\n\r\nok`, [502, 200]),
  lie('an answer with a space before the colon', `${OK}Content-Length : 2\r\n\r\nok`, [502, 200]),
  lie('an answer with an empty name', `${OK}: y\r\nContent-Length: 2\r\n\r\nok`, [502, 200]),
  lie('an answer of HTTP/2.0', `HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok`, [502, 200]),
  lie('an answer of HTTP/0.9', { answer: () => 'just bytes\r\n\r\n', close: true }, [502, 200]),
  lie('an answer with status 99', `HTTP/1.1 099 What\r\nContent-Length: 2\r\n\r\nok`, [502, 200]),
  lie(
    'an answer that names its fields in Connection',
    `${OK}Connection: Content-Length, X\r\nX: y\r\nContent-Length: 2\r\n\r\nok`,
    [200, 200],
  ),
  lie('a head over 64 KiB', `${OK}X: ${'y'.repeat(70 * 1024)}\r\nContent-Length: 2\r\n\r\nok`, [502, 200]),
  lie('an answer behind an answer', `${OK}Content-Length: 2\r\n\r\nok${HIDDEN}`, [200, 200]),
  lie(
    'an answer behind a chunked one',
    `${OK}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n${HIDDEN}`,
    [200, 200],
  ),
  broken(
    'a 204 with a body',
    `HTTP/1.1 204 No Content\r\nContent-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`,
    [204, 200],
  ),
  broken(
    'a 204 with chunks',
    `HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
    [204, 200],
  ),
  lie(
    'a 304 with a body',
    `HTTP/1.1 304 Not Modified\r\nContent-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`,
    [304, 200],
  ),
  lie('a HEAD with a body', `${OK}Content-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`, [200, 200], 'HEAD'),
  lie(
    'a 101 that nobody asked for',
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n${HIDDEN}`,
    [502, 200],
  ),
  lie(
    'a hundred interim answers',
    `${'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'.repeat(100)}${OK}Content-Length: 2\r\n\r\nok`,
    [...Array.from({ length: 100 }, () => 103), 200, 200],
  ),
  lie('interim answers without end', 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(50_000), [100, 502, 200]),
  broken(
    'chunks of an answer with a huge size',
    `${OK}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nok`,
    [200],
  ),
  broken('chunks of an answer with 0x', `${OK}Transfer-Encoding: chunked\r\n\r\n0x2\r\nok\r\n0\r\n\r\n`, [200]),
  lie('a body cut short', { answer: () => `${OK}Content-Length: 100\r\n\r\nok`, close: true }, [200]),
  lie(
    'a body ignored by the backend',
    { ...{ ignoresBody: true }, answer: () => `${OK}Content-Length: 2\r\n\r\nok` },
    [200, 200],
  ),
  lie(
    'an answer before its request',
    `${OK}Content-Length: 2\r\n\r\nok${`${OK}Content-Length: 6\r\n\r\nearly!`}`,
    [200, 200],
  ),
];

export const ANSWER_SCRIPTS: Readonly<Record<string, Script>> = Object.fromEntries(
  ANSWERS.map(({ path, script }) => [path, script]),
);
