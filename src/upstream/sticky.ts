// The cookie that keeps a client on its server, so that a session that starts with polling continues there as a WebSocket
// (socket.io). Its value is a keyed digest of the server's address, so only the gateway can find the server by it.
import { createHmac } from 'node:crypto';
import type { UpstreamConfig } from '../config/schema/schema.ts';
import { cookieOf } from '../http/cookies.ts';
import { valuesOf } from '../http/fields.ts';
import type { Ask } from './balance/key.ts';
import type { Server } from './server.ts';

export type StickyConfig = NonNullable<UpstreamConfig['sticky']>;

/** 128 bits in base64url. */
const LENGTH = 22;

export class Sticky {
  readonly #name: string;
  readonly #maxAge: string;
  readonly #secret: string;
  #byValue: ReadonlyMap<string, Server> = new Map();
  #values: ReadonlyMap<Server, string> = new Map();

  /** `secret` is used if the config has none. */
  constructor(upstream: string, { cookie, max_age, secret: own }: StickyConfig, secret: string) {
    // Different for each upstream: else two upstreams of one site would overwrite each other's cookie.
    this.#name = cookie ?? `upgate_${upstream}`;
    this.#maxAge = max_age === undefined ? '' : `; Max-Age=${Math.ceil(max_age / 1000)}`;
    this.#secret = own ?? secret;
  }

  /** Sets the servers. */
  setServers(servers: readonly Server[]): void {
    const values = servers.map((server) => [server, this.#valueOf(server)] as const);
    this.#values = new Map(values);
    this.#byValue = new Map(values.map(([server, value]) => [value, server]));
  }

  /** The server that the client's cookie names, if it still exists. */
  serverOf({ request }: Ask): Server | null {
    const value = cookieOf(request.head, this.#name);
    return value === null ? null : (this.#byValue.get(value) ?? null);
  }

  /** The Set-Cookie field for the client, flat; empty if the client has this cookie already. */
  fieldsFor(server: Server, ask: Ask): readonly string[] {
    const value = this.#values.get(server) ?? this.#valueOf(server);
    if (cookieOf(ask.request.head, this.#name) === value) return [];
    const secure = overTls(ask) ? '; Secure' : '';
    return ['Set-Cookie', `${this.#name}=${value}; Path=/${this.#maxAge}; HttpOnly; SameSite=Lax${secure}`];
  }

  #valueOf({ upstream, url }: Server): string {
    return createHmac('sha256', this.#secret).update(`${upstream}\n${url}`).digest('base64url').slice(0, LENGTH);
  }
}

/** Whether the client uses TLS, to the gateway or to a trusted proxy in front. */
function overTls({ request, viaTrusted }: Ask): boolean {
  const said = viaTrusted ? valuesOf(request.head, 'x-forwarded-proto')[0] : undefined;
  return said === undefined ? request.head.secure : /^(?:https|wss)$/i.test(said);
}
