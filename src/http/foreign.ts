// What a server speaks that does not speak HTTP, guessed from its first bytes, for the log. Pure.

const START = Buffer.from('HTTP/', 'latin1');
/** So few that they hold no secret: a server may say what it was sent, and the log must not. */
const SHOWN = 4;
const LOOKED_AT = 24;

/** How it begins, as text. */
const TEXTS: readonly (readonly [RegExp, string])[] = [
  [/^RFB /, 'this is VNC (RFB), which needs a WebSocket bridge before it'],
  [/^SSH-/, 'this is SSH'],
  [/^(?:-ERR|\+OK|\+PONG)/, 'this is Redis or POP3'],
  [/^(?:220|421|554)[ -]/, 'this is SMTP or FTP'],
  [/^\* (?:OK|BYE)/, 'this is IMAP'],
  [/^AMQP/, 'this is AMQP'],
];

/** How it begins, octet by octet; null: any. */
const OCTETS: readonly (readonly [readonly (number | null)[], string])[] = [
  // An alert, and a handshake (RFC 8446 §5.1).
  [[0x15, 0x03], 'this is TLS: write wss:// or https:// for it'],
  [[0x16, 0x03], 'this is TLS: write wss:// or https:// for it'],
  // A SETTINGS frame of stream 0 (RFC 9113 §4.1).
  [[0, 0, null, 0x04, null, 0, 0, 0, 0], 'this is HTTP/2'],
  [[null, 0, 0, 0, 0x0a], 'this is MySQL'],
];

/** What the first bytes of an answer say where they can't be HTTP, however few they are; null where they can. */
export function foreignStart(bytes: Buffer): string | null {
  const length = Math.min(bytes.length, START.length);
  for (let i = 0; i < length; i++) if (bytes[i] !== START[i]) return `this is no HTTP: ${looksLike(bytes)}`;
  return null;
}

/** Says it in a few words, with the first octets themselves: as text where they are text, else in hexadecimal. */
function looksLike(bytes: Buffer): string {
  const line = bytes.toString('latin1', 0, LOOKED_AT).split(/[\r\n]/, 1)[0] as string;
  const known =
    TEXTS.find(([start]) => start.test(line)) ??
    OCTETS.find(([start]) => start.every((octet, i) => octet === null || bytes[i] === octet));
  const first = line.slice(0, SHOWN);
  const shown = /^[\x20-\x7e]+$/.test(first) ? JSON.stringify(first) : `0x${bytes.toString('hex', 0, SHOWN)}`;
  return known === undefined ? `it begins with ${shown}` : `${known[1]} (it begins with ${shown})`;
}
