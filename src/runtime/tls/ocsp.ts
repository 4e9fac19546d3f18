// An answer of the certificate's authority that it is not revoked (OCSP, RFC 6960), from a file that another program fetches:
// it goes to clients that ask for it within their handshake (RFC 6066 §8). Its signature is for the client to verify.
import type { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { ConfigPath, Problem } from '../../config/problem.ts';
import { fail, whyUnreadable } from './pem.ts';

/** What is sent. */
export interface Staple {
  /** As the authority has signed it. */
  readonly octets: Buffer;
  /** Not from then on; milliseconds since 1970. */
  readonly untilMs: number;
}

/** What a response says of one certificate. */
interface CertificateStatus {
  /** In upper-case hexadecimal, as node has it. */
  readonly serial: string;
  readonly good: boolean;
  readonly untilMs: number;
}

export interface LoadedStaple {
  /** Null where it says nothing good, or is too old: the handshake goes on without. */
  readonly staple: Staple | null;
  readonly warnings: readonly Problem[];
}

/** Reads the response for a certificate. Throws a TlsConfigError for a file that is none. */
export async function loadStaple(
  file: string,
  leaf: X509Certificate,
  { path, now }: { path: ConfigPath; now: Date },
): Promise<LoadedStaple> {
  let octets: Buffer;
  try {
    octets = await readFile(file);
  } catch (error) {
    throw fail(path, `cannot read ${file}: ${whyUnreadable(error)}`);
  }
  const found = readResponse(octets);
  if (found === null)
    throw fail(path, `${file} holds no OCSP response`, 'in DER, as `openssl ocsp -respout` writes it');
  const status = found.find(({ serial }) => serial === leaf.serialNumber);
  if (status === undefined) throw fail(path, `the OCSP response in ${file} is for another certificate`);
  const without = (message: string): LoadedStaple => {
    const hint = 'clients get none; fetch it again';
    return { staple: null, warnings: [{ severity: 'warning', path, message, hint }] };
  };
  if (!status.good) return without(`the OCSP response in ${file} does not say that the certificate is good`);
  if (status.untilMs <= now.getTime())
    return without(`the OCSP response in ${file} ended on ${new Date(status.untilMs).toUTCString()}`);
  return { staple: { octets, untilMs: status.untilMs }, warnings: [] };
}

const [SEQUENCE, INTEGER, OCTET_STRING, ENUMERATED, TIME] = [0x30, 0x02, 0x04, 0x0a, 0x18] as const;
/** `[0]`, constructed and primitive. */
const [EXPLICIT_0, IMPLICIT_0] = [0xa0, 0x80] as const;

/** RFC 6960 §4.2.1; null where it is no successful response. In linear time. */
export function readResponse(octets: Buffer): readonly CertificateStatus[] | null {
  try {
    const response = new Elements(octets).into(SEQUENCE);
    if (response.take(ENUMERATED).readUInt8(0) !== 0) return null;
    const bytes = response.into(EXPLICIT_0).into(SEQUENCE);
    bytes.any();
    const data = new Elements(bytes.take(OCTET_STRING)).into(SEQUENCE).into(SEQUENCE);
    if (data.tag === EXPLICIT_0) data.any();
    data.any(); // responderID
    data.any(); // producedAt
    const responses = data.into(SEQUENCE);
    const found: CertificateStatus[] = [];
    while (responses.tag !== null) found.push(readSingle(responses.into(SEQUENCE)));
    return found;
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

function readSingle(single: Elements): CertificateStatus {
  const id = single.into(SEQUENCE);
  for (let i = 0; i < 3; i++) id.any(); // the algorithm and the two hashes of the issuer
  const serial = id.take(INTEGER).toString('hex').toUpperCase();
  const good = single.tag === IMPLICIT_0;
  single.any();
  single.any(); // thisUpdate
  // Without nextUpdate it ends at no time that is known (RFC 6960 §4.2.2.1).
  const untilMs = single.tag === EXPLICIT_0 ? timeOf(single.into(EXPLICIT_0).take(TIME)) : Number.POSITIVE_INFINITY;
  return { serial: serial.replace(/^00(?=.)/, ''), good, untilMs };
}

/** GeneralizedTime to the second in UTC (RFC 5280 §4.1.2.5.2). */
function timeOf(content: Buffer): number {
  const [, ...parts] = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(content.toString('latin1')) ?? [];
  if (parts.length === 0) throw new RangeError('no time');
  const [year = 0, month = 0, day, hour, minute, second] = parts.map(Number);
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

/** Elements of DER one behind another (X.690 §8.1); a RangeError where the next one is not the one that is wanted, or not whole. */
class Elements {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Of the next one; null: there is none. */
  get tag(): number | null {
    return this.#bytes[this.#at] ?? null;
  }

  /** The contents of the next one, whatever it is. */
  any(): Buffer {
    const bytes = this.#bytes;
    let length = bytes.readUInt8(this.#at + 1);
    let start = this.#at + 2;
    if (length === 0x80) throw new RangeError('an element without a length');
    if (length > 0x80) {
      const octets = length - 0x80;
      length = bytes.readUIntBE(start, octets);
      start += octets;
    }
    const end = start + length;
    if (end > bytes.length) throw new RangeError('the element is not whole');
    this.#at = end;
    return bytes.subarray(start, end);
  }

  take(tag: number): Buffer {
    if (this.tag !== tag) throw new RangeError('another element');
    return this.any();
  }

  into(tag: number): Elements {
    return new Elements(this.take(tag));
  }
}
