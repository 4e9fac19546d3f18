// The few forms of DER (X.690) that a certificate is written in. Not a parser, and not a general ASN.1 library: only what
// self-signed.ts needs.

/** One element: identifier octet, definite length (X.690 §8.1.3), contents. */
function element(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(contents);
  if (body.length < 0x80) return Buffer.concat([Buffer.of(tag, body.length), body]);
  const length = unsigned(body.length);
  return Buffer.concat([Buffer.of(tag, 0x80 | length.length), length, body]);
}

/** Big-endian octets of a whole number, without leading zeros. */
function unsigned(value: number): Buffer {
  const hex = value.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
}

export const sequence = (...parts: readonly Uint8Array[]): Buffer => element(0x30, ...parts);
export const set = (...parts: readonly Uint8Array[]): Buffer => element(0x31, ...parts);
export const boolean = (value: boolean): Buffer => element(0x01, Buffer.of(value ? 0xff : 0x00));
export const octetString = (contents: Uint8Array): Buffer => element(0x04, contents);
export const utf8String = (text: string): Buffer => element(0x0c, Buffer.from(text, 'utf8'));

/** BIT STRING of whole octets: no bit of the last one is unused. */
export const bitString = (contents: Uint8Array): Buffer => element(0x03, Buffer.of(0), contents);

/** A constructed element of the context class, `[number] EXPLICIT`. */
export const explicit = (number: number, contents: Uint8Array): Buffer => element(0xa0 | number, contents);

/** A primitive element of the context class, `[number] IMPLICIT`. */
export const implicit = (number: number, contents: Uint8Array): Buffer => element(0x80 | number, contents);

/** INTEGER that is not negative, from its big-endian octets: minimal, and with a zero before a top bit (X.690 §8.3.2). */
export function integer(magnitude: Uint8Array): Buffer {
  let start = 0;
  while (start < magnitude.length - 1 && magnitude[start] === 0) start++;
  const octets = magnitude.subarray(start);
  const padding = (octets[0] ?? 0x80) >= 0x80 ? Buffer.of(0) : Buffer.alloc(0);
  return element(0x02, padding, octets);
}

/** OBJECT IDENTIFIER from its dotted form, base 128 with the first two arcs in one octet (X.690 §8.19). */
export function objectIdentifier(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const octets: number[] = [];
  for (const arc of [first * 40 + second, ...rest]) {
    const group = [arc % 128];
    for (let high = Math.floor(arc / 128); high > 0; high = Math.floor(high / 128)) group.unshift(0x80 | (high % 128));
    octets.push(...group);
  }
  return element(0x06, Buffer.from(octets));
}

/** Time to the second in UTC: UTCTime until 2049, GeneralizedTime after (RFC 5280 §4.1.2.5). */
export function time(date: Date): Buffer {
  const text = date.toISOString().replace(/\.\d+Z$|[-:T]/g, '');
  return date.getUTCFullYear() < 2050
    ? element(0x17, Buffer.from(`${text.slice(2)}Z`, 'latin1'))
    : element(0x18, Buffer.from(`${text}Z`, 'latin1'));
}
