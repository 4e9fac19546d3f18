// An ACME authority (RFC 8555) for what a real one can't be made to do: it verifies every request's signature and nonce, issues
// by openssl, and misbehaves as a test says.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { flattenedVerify, importJWK, type JWK } from 'jose';
import { makeSelfSigned } from '../../src/runtime/tls/self-signed.ts';

/** What a request asks for, by the last part of its path but for what follows the resource. */
export type Resource =
  | 'directory'
  | 'nonce'
  | 'account'
  | 'order'
  | 'new-order'
  | 'authorization'
  | 'challenge'
  | 'finalize'
  | 'certificate'
  | 'renewal-info';

export interface Received {
  readonly resource: Resource;
  readonly header: Readonly<Record<string, unknown>>;
  readonly payload: Readonly<Record<string, unknown>> | null;
}

export interface AcmeServer {
  readonly directory: string;
  /** The certificate that its own is verified by. */
  readonly ca: string;
  readonly received: Received[];
  /** What the next requests of a resource are answered with in place of the right answer. */
  readonly instead: Map<Resource, Answer[]>;
  /** Whether a challenge is fulfilled, and by default it is. */
  validate: (challenge: { type: string; domain: string; token: string }) => Promise<boolean> | boolean;
  offered: readonly string[];
  /** Days that a certificate is valid for. */
  days: number;
  /** RFC 9773; null: the directory does not name it. */
  suggested: { start: string; end: string } | null;
  /** Forgets all accounts. */
  forget(): void;
  /** As it was at the start. */
  reset(): void;
  close(): void;
}

export interface Answer {
  readonly status: number;
  readonly fields?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** A problem document. */
export function problem(
  type: string,
  detail: string,
  fields: Readonly<Record<string, string>> = {},
  status = 403,
): Answer {
  const body = JSON.stringify({ type: `urn:ietf:params:acme:error:${type}`, detail, status });
  return { status, fields: { 'content-type': 'application/problem+json', ...fields }, body };
}

interface Order {
  readonly domains: readonly string[];
  readonly tokens: readonly string[];
  readonly valid: Set<string>;
  failed: string | null;
  pem: string | null;
}

class Authority {
  readonly received: Received[] = [];
  readonly instead = new Map<Resource, Answer[]>();
  validate: AcmeServer['validate'] = () => true;
  offered: readonly string[] = ['dns-01', 'http-01', 'tls-alpn-01'];
  days = 90;
  suggested: AcmeServer['suggested'] = null;
  readonly accounts = new Map<string, JWK>();
  base = '';
  readonly #dir = mkdtempSync(join(tmpdir(), 'upgate-acme-ca-'));
  readonly #nonces = new Set<string>();
  readonly #orders: Order[] = [];

  constructor() {
    const at = (name: string) => join(this.#dir, name);
    const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    execFileSync('openssl', [...args, '-keyout', at('ca.key'), '-out', at('ca.crt'), '-subj', '/CN=Fake'], {
      stdio: 'pipe',
    });
  }

  forget(): void {
    this.accounts.clear();
  }

  reset(): void {
    this.forget();
    this.received.length = 0;
    this.instead.clear();
    this.#orders.length = 0;
    this.validate = () => true;
    this.offered = ['dns-01', 'http-01', 'tls-alpn-01'];
    this.days = 90;
    this.suggested = null;
  }

  close(): void {
    rmSync(this.#dir, { recursive: true, force: true });
  }

  async onRequest(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const [, resource = '', ...rest] = (req.url ?? '').split('/') as [string, Resource, ...string[]];
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk as Buffer);
    const nonce = randomBytes(12).toString('base64url');
    this.#nonces.add(nonce);
    res.setHeader('replay-nonce', nonce);
    const answer = await this.#answer(resource as Resource, rest, Buffer.concat(chunks).toString());
    const { status, fields = {}, body = '' } = answer;
    res.writeHead(status, fields);
    res.end(body);
  }

  async #answer(resource: Resource, rest: string[], text: string): Promise<Answer> {
    const posted = text === '' ? null : await this.#verify(text);
    if (typeof posted === 'string') return problem(posted === 'nonce' ? 'badNonce' : 'malformed', posted, {}, 400);
    const { header = {}, payload = null } = posted ?? {};
    this.received.push({ resource, header, payload });
    const other = this.instead.get(resource)?.shift();
    if (other !== undefined) return other;
    if (header['kid'] !== undefined && !this.accounts.has(String(header['kid'])))
      return problem('accountDoesNotExist', 'who is that?', {}, 400);
    return this.#serve(resource, rest, { header, payload: payload ?? {} });
  }

  async #verify(
    text: string,
  ): Promise<{ header: Record<string, unknown>; payload: Record<string, unknown> | null } | string> {
    const jws = JSON.parse(text) as { protected: string; payload: string; signature: string };
    const header = JSON.parse(Buffer.from(jws.protected, 'base64url').toString()) as Record<string, unknown>;
    const jwk = (header['jwk'] ?? this.accounts.get(String(header['kid']))) as JWK | undefined;
    if (!this.#nonces.delete(String(header['nonce']))) return 'nonce';
    if (jwk === undefined) return { header, payload: null };
    const verified = await flattenedVerify(jws, await importJWK(jwk, 'ES256')).catch(() => null);
    if (verified === null) return 'signature';
    const payload = Buffer.from(verified.payload).toString();
    return { header, payload: payload === '' ? null : (JSON.parse(payload) as Record<string, unknown>) };
  }

  async #serve(
    resource: Resource,
    [first = '0', second = '0', third = '']: string[],
    { header, payload }: { header: Record<string, unknown>; payload: Record<string, unknown> },
  ): Promise<Answer> {
    const at = (path: string) => `${this.base}/${path}`;
    const order = this.#orders[Number(first)] as Order;
    switch (resource) {
      case 'directory':
        return json(200, {
          newNonce: at('nonce'),
          newAccount: at('account'),
          newOrder: at('new-order'),
          ...(this.suggested === null ? {} : { renewalInfo: at('renewal-info') }),
        });
      case 'nonce':
        return { status: 200 };
      case 'account': {
        const url = at(`account/${this.accounts.size + 1}`);
        if (header['kid'] === undefined) this.accounts.set(url, header['jwk'] as JWK);
        return json(201, { status: 'valid' }, { location: url });
      }
      case 'new-order': {
        const domains = (payload['identifiers'] as { value: string }[]).map(({ value }) => value);
        const tokens = domains.map(() => randomBytes(16).toString('base64url'));
        this.#orders.push({ domains, tokens, valid: new Set(), failed: null, pem: null });
        const id = this.#orders.length - 1;
        return json(201, this.#show(id), { location: at(`order/${id}`) });
      }
      case 'order':
        return json(200, this.#show(Number(first)));
      case 'authorization':
        return json(200, this.#showAuthorization(order, Number(first), Number(second)));
      case 'challenge': {
        const [domain, token] = [order.domains[Number(second)] as string, order.tokens[Number(second)] as string];
        if (await this.validate({ type: third, domain, token })) order.valid.add(domain);
        else order.failed = domain;
        return json(200, { status: 'processing' });
      }
      case 'finalize':
        order.pem = this.#issue(Buffer.from(String(payload['csr']), 'base64url'));
        return json(200, this.#show(Number(first)));
      case 'certificate':
        return {
          status: 200,
          fields: { 'content-type': 'application/pem-certificate-chain' },
          body: order.pem as string,
        };
      case 'renewal-info':
        return json(200, { suggestedWindow: this.suggested }, { 'retry-after': '21600' });
      default:
        return { status: 404 };
    }
  }

  #show(id: number): object {
    const { domains, valid, failed, pem } = this.#orders[id] as Order;
    const ready = domains.every((domain) => valid.has(domain)) ? 'ready' : 'pending';
    return {
      status: failed !== null ? 'invalid' : pem !== null ? 'valid' : ready,
      authorizations: domains.map((_, i) => `${this.base}/authorization/${id}/${i}`),
      finalize: `${this.base}/finalize/${id}`,
      certificate: `${this.base}/certificate/${id}`,
    };
  }

  #showAuthorization({ domains, tokens, valid, failed }: Order, id: number, at: number): object {
    const value = domains[at] as string;
    const error = JSON.parse(problem('unauthorized', `got "<html>" for ${value}`).body as string) as object;
    return {
      status: failed === value ? 'invalid' : valid.has(value) ? 'valid' : 'pending',
      identifier: { type: 'dns', value },
      challenges: this.offered.map((type) => ({
        ...{ type, token: tokens[at], url: `${this.base}/challenge/${id}/${at}/${type}` },
        ...(failed === value ? { error } : {}),
      })),
    };
  }

  #issue(csr: Buffer): string {
    const at = (name: string) => join(this.#dir, name);
    writeFileSync(at('request.der'), csr);
    writeFileSync(at('leaf.ext'), 'authorityKeyIdentifier=keyid\n');
    const ca = ['-CA', at('ca.crt'), '-CAkey', at('ca.key'), '-CAcreateserial', '-days', String(this.days)];
    const from = ['-inform', 'DER', '-in', at('request.der'), '-extfile', at('leaf.ext'), '-copy_extensions', 'copy'];
    const leaf = execFileSync('openssl', ['x509', '-req', ...from, ...ca], { stdio: 'pipe' }).toString();
    return leaf + readFileSync(at('ca.crt'), 'utf8');
  }
}

function json(status: number, value: object, fields: Readonly<Record<string, string>> = {}): Answer {
  return { status, fields: { 'content-type': 'application/json', ...fields }, body: JSON.stringify(value) };
}

export async function startAcmeServer(): Promise<AcmeServer> {
  const authority = new Authority();
  const pair = makeSelfSigned(['localhost'], new Date());
  const server = createServer(pair, (req, res) => {
    authority.onRequest(req, res).catch((error: unknown) => res.writeHead(500).end(String(error)));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  authority.base = `https://localhost:${(server.address() as AddressInfo).port}`;
  return Object.assign(authority, {
    directory: `${authority.base}/directory`,
    ca: pair.cert,
    close: ((close) => () => {
      close();
      server.close();
      server.closeAllConnections();
    })(authority.close.bind(authority)),
  });
}
