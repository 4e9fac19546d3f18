// Authentication: the interface between a request with credentials and what verifies them. One file for each kind of
// credentials; pipeline/access.ts has the order of the access phase.
import type { Rejection } from '../handshake/rejection.ts';
import type { Claims } from '../http/claims.ts';
import type { Fields } from '../http/fields.ts';
import type { Client } from '../http/forwarding/forwarded.ts';
import type { Request } from '../http/head.ts';
import type { PresentedToken } from '../http/token.ts';
import type { ClientClosed } from '../net/client-closed.ts';

/** The identity of a client. */
export interface Principal {
  /** The name it goes by in log and API, and by which its sessions are revoked; null where the credentials name nobody. */
  readonly subject: string | null;
  /** The claims of a token, or their counterpart in another kind of credentials. */
  readonly claims: Claims;
  /** Milliseconds since 1970 at which the credentials end, and a live session with them; null: never. */
  readonly expiresAt: number | null;
  /** Fields for the backend, flat, in place of the client's own of these names. */
  readonly fields: Fields;
}

/** Another server's response that goes to the client as it is: that server refused the request. */
export interface PassthroughResponse {
  readonly status: number;
  readonly phrase: string;
  /** As they may reach the client, flat, without framing. */
  readonly answer: Fields;
  readonly body: Buffer;
}

/** A request to authenticate. */
export interface AuthRequest {
  /** X-Request-Id of the request. */
  readonly id: string;
  /** Without its token. */
  readonly request: Request;
  /** Its path, normalised, as the backend gets it but for a prefix that is changed. */
  readonly path: string;
  /** The token, of routes that look for one. */
  readonly token: PresentedToken;
  readonly client: Client;
  /** Its signal() fires when the client has closed; a result after that is of no use. */
  readonly clientClosed: ClientClosed;
}

export type AuthResult = Principal | Rejection | PassthroughResponse;

/** One kind of credentials with its options; it serves all requests of a route. */
export interface Authenticator {
  /**
   * May reject with a GatewayError; where there is no result the code is `auth_unavailable`, and the client is never
   * admitted.
   */
  authenticate(asking: AuthRequest): AuthResult | Promise<AuthResult>;
}
