// What an action works with, without a gateway around it: services that record their events, a client's connection, and a
// plain request whose response is recorded.
import type { ClientEnd, RouteContext, Services } from '../../src/actions/context.ts';
import { HandshakeResources } from '../../src/actions/handshake-resources.ts';
import { setPeer } from '../../src/actions/peer.ts';
import { ReadAhead } from '../../src/actions/read-ahead.ts';
import type { Plain } from '../../src/actions/reject.ts';
import { SlotSet } from '../../src/base/slot-set.ts';
import type { GatewayEvent } from '../../src/events.ts';
import type { RequestHead } from '../../src/http/head.ts';
import { ClientClosed } from '../../src/net/client-closed.ts';
import type { Connection } from '../../src/net/fd-connection.ts';
import type { ResponseHead } from '../../src/proxy/client.ts';
import { decide, type Verdict } from '../../src/routing/decide.ts';
import { Registry } from '../../src/sessions/registry.ts';
import { Connections } from '../../src/websocket/connections.ts';
import { tableOf } from './heads.ts';
import { makePool } from './pools.ts';

const CLIENT = { address: '192.0.2.1', viaTrusted: false, id: 'id-1', connection: 'c-1' };

/** The services, with an upstream of these settings, and the request of a client. */
export function actionFixture(upstream: object = {}, services: Partial<Services> = {}) {
  const { pool, events } = makePool(upstream);
  const all = {
    emit: (event: GatewayEvent) => void events.push(event),
    sessions: new Registry(),
    connections: new Connections(),
    endless: new SlotSet(),
    http: { name: 'fake', bound: null, forward: () => Promise.reject(new Error('not expected')), close: () => {} },
    pool: () => pool,
    identityOf: () => ({ fingerprint: 'app', onChange: null }),
    ...services,
  } as unknown as Services;
  const subject = {
    id: CLIENT.id,
    route: 'app',
    client: CLIENT.address,
    method: 'GET',
    host: 'a',
    path: '/',
    protocol: '1.1' as const,
    secure: false,
    user: null,
  };
  const context: RouteContext = {
    ...{ services: all, subject, client: CLIENT, principal: null, origin: null },
    startedAt: performance.now(),
  };
  return { context, pool, events, sessions: all.sessions, connections: all.connections };
}

/** The verdict of this kind on a request to a single route. */
export function verdictOn<K extends Verdict['kind']>(kind: K, route: object, head: RequestHead) {
  const verdict = decide(tableOf({ name: 'app', ...route }), head, CLIENT.address);
  if (verdict.kind !== kind) throw new Error(`the verdict is ${JSON.stringify(verdict)}`);
  return verdict as Extract<Verdict, { kind: K }>;
}

/** The connection of a handshake; `rest` came behind its head. */
export function clientEnd(connection: Connection, rest = ''): ClientEnd {
  setPeer(connection, { address: CLIENT.address, port: 4321, destination: { address: '192.0.2.9', port: 80 } });
  const [ahead, clientClosed] = [new ReadAhead(Buffer.from(rest)), new ClientClosed()];
  return { connection, ahead, clientClosed, returnToServer: null, resources: new HandshakeResources() };
}

/** A plain request, and what is done with its response. */
export function plainOf({ method = 'GET', hasBody = false, headersSent = false } = {}) {
  const answers: (ResponseHead & { readonly body: string | null })[] = [];
  const calls: string[] = [];
  const response = {
    status: 200,
    headersSent,
    closed: false,
    bytesFromClient: 0,
    bytesToClient: 0,
    closeAfter: () => void calls.push('closeAfter'),
    cut: () => void calls.push('cut'),
    answer(head: ResponseHead, body: Buffer | null) {
      answers.push({ ...head, body: body === null ? null : body.toString() });
      response.status = head.status;
    },
  };
  const request = { message: { method, url: '/', httpVersion: '1.1', rawHeaders: [] }, connection: {}, hasBody };
  return { plain: { request, response } as unknown as Plain, response, answers, calls };
}
