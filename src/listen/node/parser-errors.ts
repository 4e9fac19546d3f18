// From an error of node's parser to an answer that says what was wrong. Pure. If a request is valid and only unknown to the
// parser, the answer says so.
import { lookupTable } from '../../base/lookup-table.ts';
import { type Rejection, reject } from '../../handshake/rejection.ts';

/** Sentences by llhttp's codes (node 20 to 26); an error without one here is just malformed. */
export const PARSER_ERRORS: Readonly<Record<string, string>> = lookupTable({
  HPE_INVALID_METHOD: 'the request does not begin with a method',
  HPE_INVALID_URL: 'the target holds an octet that must be percent-encoded, such as one beyond ASCII or a blank',
  HPE_INVALID_CONSTANT: 'no HTTP version stands behind the target, or the target holds a blank',
  HPE_INVALID_VERSION: 'the HTTP version is not 1.0 or 1.1, or a line does not end with CR LF',
  HPE_INVALID_HEADER_TOKEN: 'the name of a field is no token, or its value holds a control character or a folded line',
  HPE_UNEXPECTED_SPACE: 'a blank stands where none may, such as before the colon of a field',
  HPE_CR_EXPECTED: 'a line does not end with CR LF',
  HPE_LF_EXPECTED: 'a CR stands without its LF',
  HPE_STRICT: 'a line does not end with CR LF, or a chunk is longer than it says',
  HPE_INVALID_CONTENT_LENGTH: 'Content-Length is not a number',
  HPE_UNEXPECTED_CONTENT_LENGTH: 'there is more than one Content-Length, or one beside Transfer-Encoding',
  HPE_INVALID_TRANSFER_ENCODING: 'Transfer-Encoding does not end with chunked, or stands beside Content-Length',
  HPE_INVALID_CHUNK_SIZE: 'the size of a chunk is not a hexadecimal number',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'the extensions of a chunk are too large',
  HPE_INVALID_EOF_STATE: 'the connection ended in the middle of a head',
  HPE_CLOSED_CONNECTION: 'something stands behind a request that said it is the last one of its connection',
  HPE_PAUSED_H2_UPGRADE: 'this is HTTP/2, but HTTP/1.1 is expected here',
});

/** The properties that node adds to a parser's error. */
interface ParserError extends Error {
  readonly code?: unknown;
  readonly rawPacket?: unknown;
  readonly bytesParsed?: unknown;
}

/** A token at the beginning of a line with a target behind it, which a client takes for a method. */
const METHOD = /^\n?([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}) [/*a-z]/i;
/** The first octet of a TLS record that begins a handshake. */
const TLS_HANDSHAKE = 0x16;
/** How far back a method may begin from where the parser stopped in it, and how far on it may go. */
const AROUND = 66;

/** The answer to a parser's error; null for any other error: the connection has broken, and nobody can be answered. */
export function rejectParserError(error: ParserError): Rejection | null {
  const code = typeof error.code === 'string' ? error.code : '';
  if (code === 'HPE_HEADER_OVERFLOW') return reject('head_too_large');
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return reject('head_timeout');
  if (!code.startsWith('HPE_')) return null;
  if (code === 'HPE_INVALID_METHOD') return rejectMethod(error);
  return reject('malformed', PARSER_ERRORS[code]);
}

function rejectMethod({ rawPacket, bytesParsed }: ParserError): Rejection {
  if (!(rawPacket instanceof Uint8Array) || typeof bytesParsed !== 'number') return reject('malformed');
  if (rawPacket[bytesParsed] === TLS_HANDSHAKE)
    return reject('malformed', 'this is TLS, but plain HTTP is expected here');
  const from = Math.max(0, bytesParsed - AROUND);
  const around = Buffer.from(rawPacket.subarray(from, bytesParsed + AROUND)).toString('latin1');
  // What the parser has read is whole lines, but for the beginning of this one.
  const line = around.lastIndexOf('\n', bytesParsed - from - 1);
  const method = line === -1 && from > 0 ? undefined : METHOD.exec(around.slice(Math.max(line, 0)))?.[1];
  if (method === undefined) return reject('malformed', PARSER_ERRORS['HPE_INVALID_METHOD']);
  if (method === 'PROXY')
    return reject('malformed', 'a PROXY protocol preamble comes first, and none is expected here');
  return { ...reject('method', `the method ${method} is not known here`, []), status: 501 };
}
