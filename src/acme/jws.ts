// The key of an ACME account. Every request to an authority is a flattened JWS that it signs (RFC 7515 §7.2.2, RFC 8555 §6.2).
// ES256 only: every authority must accept it (RFC 8555 §6.2).
import { createHash, createHmac, createPublicKey, type KeyObject, sign } from 'node:crypto';

/** A public key as a JWK, its members in the order that the thumbprint needs (RFC 7638 §3.2). */
export interface Jwk {
  readonly crv: string;
  readonly kty: string;
  readonly x: string;
  readonly y: string;
}

/** The protected header without the algorithm: who signs, and for which request. */
export interface ProtectedHeader {
  readonly url: string;
  readonly nonce?: string;
  /** The account's URL (`kid`); the key itself before there is an account (RFC 8555 §6.2). */
  readonly kid?: string;
  readonly jwk?: Jwk;
}

/** Credentials for external account binding, which the authority issued elsewhere (RFC 8555 §7.3.4). */
export interface ExternalAccount {
  readonly kid: string;
  /** The MAC key in base64url. */
  readonly key: string;
}

export interface FlattenedJws {
  readonly protected: string;
  readonly payload: string;
  readonly signature: string;
}

export class AccountKey {
  readonly jwk: Jwk;
  readonly #privateKey: KeyObject;
  readonly #thumbprint: string;

  /** A private key of EC P-256. */
  constructor(privateKey: KeyObject) {
    const { crv, kty, x, y } = createPublicKey(privateKey).export({ format: 'jwk' });
    if (kty !== 'EC' || crv !== 'P-256') throw new TypeError('an account key is one of EC P-256');
    this.jwk = { crv, kty, x: x as string, y: y as string };
    this.#privateKey = privateKey;
    this.#thumbprint = createHash('sha256').update(JSON.stringify(this.jwk)).digest('base64url');
  }

  /** The key authorization of a challenge (RFC 8555 §8.1). */
  keyAuthorization(token: string): string {
    return `${token}.${this.#thumbprint}`;
  }

  /** Signs a payload; null is the empty payload of a POST-as-GET (RFC 8555 §6.3). */
  sign(header: ProtectedHeader, payload: object | null): FlattenedJws {
    return flattened({ alg: 'ES256', ...header }, payload, (input) =>
      sign('sha256', input, { key: this.#privateKey, dsaEncoding: 'ieee-p1363' }),
    );
  }

  /** The external account binding of this key, for a newAccount request to `url` (RFC 8555 §7.3.4). */
  bind({ kid, key }: ExternalAccount, url: string): FlattenedJws {
    const mac = Buffer.from(key, 'base64url');
    return flattened({ alg: 'HS256', kid, url }, this.jwk, (input) => createHmac('sha256', mac).update(input).digest());
  }
}

function flattened(header: object, payload: object | null, signatureOf: (input: Buffer) => Buffer): FlattenedJws {
  const protectedHeader = encode(JSON.stringify(header));
  const content = payload === null ? '' : encode(JSON.stringify(payload));
  const signature = signatureOf(Buffer.from(`${protectedHeader}.${content}`, 'latin1')).toString('base64url');
  return { protected: protectedHeader, payload: content, signature };
}

const encode = (text: string): string => Buffer.from(text, 'utf8').toString('base64url');
