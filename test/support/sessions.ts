// Sessions that nothing carries: whole values, of which a test changes what it is about.
import type { RouteIdentity, Session } from '../../src/sessions/registry.ts';

export const IDENTITY: RouteIdentity = { fingerprint: 'as it was', onChange: null };

/** A live, terminated session of the route `chat`. */
export function sessionOf(changed: Partial<Session> = {}): Session {
  return {
    id: 'x',
    route: 'chat',
    mode: 'terminate',
    client: '192.0.2.1',
    user: null,
    expiresAt: null,
    identity: IDENTITY,
    at: null,
    live: true,
    close: () => {},
    cut: () => {},
    ...changed,
  };
}
