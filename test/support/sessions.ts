// Sessions that nothing carries: whole values, of which a test changes what it is about.
import type { SessionActivity } from '../../src/events.ts';
import type { RouteIdentity, Session } from '../../src/sessions/registry.ts';

export const IDENTITY: RouteIdentity = { fingerprint: 'as it was', onChange: null };

export const NO_ACTIVITY: SessionActivity = {
  fromClient: { bytes: 0, messages: 0 },
  toClient: { bytes: 0, messages: 0 },
  idleMs: 0,
};

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
    serial: 1,
    openedAt: 0,
    host: 'app.example.com',
    path: '/ws',
    subprotocol: null,
    activity: () => NO_ACTIVITY,
    bytesPerSecond: () => 0,
    close: () => {},
    cut: () => {},
    ...changed,
  };
}
