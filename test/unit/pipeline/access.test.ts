// The access phase: each step in its order, and what a handshake holds behind each result.
import { describe, expect, it, vi } from 'vitest';
import type { RouteContext } from '../../../src/actions/context.ts';
import { HandshakeResources } from '../../../src/actions/handshake-resources.ts';
import type { Authenticator, AuthRequest, AuthResult } from '../../../src/auth/authenticator.ts';
import { isRejection, reject } from '../../../src/handshake/rejection.ts';
import { Limits } from '../../../src/limits/limits.ts';
import { LimitsRuntime } from '../../../src/limits/limits-runtime.ts';
import { ClientClosed } from '../../../src/net/client-closed.ts';
import { AccessPhase, isGranted } from '../../../src/pipeline/access.ts';
import { decide, type Forward, type Upgrade } from '../../../src/routing/decide.ts';
import { Registry } from '../../../src/sessions/registry.ts';
import type { Revocation } from '../../../src/sessions/revocations.ts';
import { configOf, handshakeHead, plainHead, splice, tableOf } from '../../support/heads.ts';

const ADA = { subject: 'ada', claims: { sub: 'ada' }, expiresAt: null, fields: [] };
const NO = { status: 403, phrase: 'No', answer: ['X-Why', 'because'], body: Buffer.from('no') };

/** A route where one session of a client, and one of the route, may live, and this authenticates its clients. */
function route(
  authenticate: ((asking: AuthRequest) => AuthResult | Promise<AuthResult>) | null,
  requests: object = {},
) {
  const auth = { jwt: { key: 'not looked at: the case says who it is', algorithms: ['HS256'] } };
  const config = {
    name: 'app',
    ...(authenticate === null ? {} : { auth }),
    ...splice({ limits: { connections: 1, connections_per_ip: 1 } }),
    http: { upstream: 'rest', limits: requests },
  };
  const table = tableOf(config);
  const limits = new Limits(configOf([config]), null);
  const authenticator: Authenticator | null = authenticate === null ? null : { authenticate };
  const access = new AccessPhase(new LimitsRuntime().admission);
  const gone = new ClientClosed();
  const sessions = new Registry();
  const contextOf = (address: string) =>
    ({
      services: { limits, authenticator: () => authenticator, sessions },
      subject: { id: 'id-1', client: address, user: null },
      client: { address, viaTrusted: false, id: 'id-1', connection: 'id-1' },
      principal: null,
    }) as unknown as RouteContext;
  const upgrade = decide(table, handshakeHead(), '192.0.2.1') as Upgrade;
  const request = decide(table, plainHead(), '192.0.2.1') as Forward;
  return {
    gone,
    revoke: (revocation: Revocation) => sessions.revocations.revoke(revocation, 60_000),
    /** What is not granted releases what it holds, as the pipeline does. */
    handshake: async (address = '192.0.2.1') => {
      const resources = new HandshakeResources();
      let granted = false;
      try {
        const result = await access.handshake(contextOf(address), upgrade, { clientClosed: gone, resources });
        granted = isGranted(result);
        return { ...result, resources };
      } finally {
        if (!granted) resources.release();
      }
    },
    plain: (clientClosed = () => gone) => access.plain(contextOf('192.0.2.1'), request, clientClosed),
  };
}

/** What an admitted handshake holds. */
async function resourcesOf(entry: ReturnType<ReturnType<typeof route>['handshake']>) {
  const entered = await entry;
  if (!isGranted(entered)) throw new Error(JSON.stringify(entered));
  return entered.resources;
}

describe('a handshake', () => {
  it('gets its permit where the route asks for no credentials', async () => {
    const { handshake } = route(null);
    const held = await resourcesOf(handshake());
    expect(await handshake()).toMatchObject({ reason: 'client_limit' });
    held.release();
    await resourcesOf(handshake());
  });

  it('enters as who it was found to be', async () => {
    const { handshake } = route(async () => ADA);
    const entry = await handshake();
    expect(entry).toMatchObject({ context: { principal: ADA, subject: { id: 'id-1', user: 'ada' } } });
  });

  it('is asked about with what it came with', async () => {
    const authenticate = vi.fn(() => ADA);
    const { handshake, gone } = route(authenticate);
    await handshake();
    expect(authenticate).toHaveBeenCalledWith({
      id: 'id-1',
      request: expect.objectContaining({ host: 'app.example.com' }),
      path: '/ws/chat',
      token: null,
      client: expect.objectContaining({ address: '192.0.2.1' }),
      clientClosed: gone,
    });
  });

  it('is not asked who it is where its address has no room left', async () => {
    const authenticate = vi.fn(() => ADA);
    const { handshake } = route(authenticate);
    await handshake();
    expect(await handshake()).toMatchObject({ reason: 'client_limit' });
    expect(authenticate).toHaveBeenCalledTimes(1);
  });

  it.each<[string, () => AuthResult | Promise<AuthResult>, object]>([
    ['refused', () => reject('auth'), { reason: 'auth' }],
    ['refused after a while', async () => reject('auth'), { reason: 'auth' }],
    ['refused by another server', async () => NO, { status: 403 }],
  ])('%s holds nothing', async (_, answer, expected) => {
    let finding: () => AuthResult | Promise<AuthResult> = answer;
    const { handshake } = route(() => finding());
    expect(await handshake()).toMatchObject(expected);
    finding = () => ADA;
    await resourcesOf(handshake());
  });

  it('holds nothing where the judgement breaks', async () => {
    const authenticate = vi.fn<Authenticator['authenticate']>(() => ADA);
    const { handshake } = route(authenticate);
    authenticate.mockRejectedValueOnce(new Error('broken'));
    await expect(handshake()).rejects.toThrow('broken');
    await resourcesOf(handshake());
  });

  it('holds nothing where the client left meanwhile, whatever was found', async () => {
    const { handshake, gone } = route(async () => {
      gone.notify();
      return ADA;
    });
    for (let i = 0; i < 3; i++) await expect(handshake()).rejects.toMatchObject({ code: 'client_gone' });
  });

  it('is not waited for once the client has left', async () => {
    const { handshake, gone } = route(() => new Promise<AuthResult>(() => {}));
    const entry = handshake();
    gone.notify();
    await expect(entry).rejects.toMatchObject({ code: 'client_gone' });
  });

  it('of another client is refused where the route is full, and holds nothing then', async () => {
    const { handshake } = route(async () => ADA);
    const held = await resourcesOf(handshake());
    for (let i = 0; i < 2; i++) expect(await handshake('192.0.2.2')).toMatchObject({ reason: 'limit' });
    held.release();
    await resourcesOf(handshake('192.0.2.2'));
  });
});

describe('a plain request', () => {
  it('goes on at once where the route asks for no credentials', () => {
    const clientClosed = vi.fn();
    expect(route(null).plain(clientClosed)).toMatchObject({ context: { principal: null } });
    expect(clientClosed).not.toHaveBeenCalled();
  });

  it('enters as who it was found to be', async () => {
    expect(await route(() => ADA).plain()).toMatchObject({ context: { principal: ADA, subject: { user: 'ada' } } });
  });

  it('is refused, by us or by another server', async () => {
    const refused = await route(() => reject('auth')).plain();
    expect(!isGranted(refused) && isRejection(refused) && refused.reason).toBe('auth');
    expect(await route(async () => NO).plain()).toBe(NO);
  });

  it('of a client that left is not served', async () => {
    const { plain, gone } = route(() => ADA);
    gone.notify();
    await expect(plain()).rejects.toMatchObject({ code: 'client_gone' });
  });

  it('is refused before anybody is asked who it is, where a rate is used up', async () => {
    const authenticate = vi.fn(() => ADA);
    const { plain } = route(authenticate, { requests_per_second_per_ip: { rate: 0.001, burst: 2 } });
    const entries = [await plain(), await plain(), await plain()];
    expect(entries.map((entry) => isGranted(entry))).toEqual([true, true, false]);
    expect(entries[2]).toMatchObject({ reason: 'rate', status: 429 });
    expect(authenticate).toHaveBeenCalledTimes(2);
  });

  it('is refused behind that where the rate of its claim is', async () => {
    const limits = { claim: 'sub', requests_per_second_per_claim: { rate: 0.001, burst: 1 } };
    const { plain } = route(() => ADA, limits);
    expect([await plain(), await plain()]).toMatchObject([{ context: { principal: ADA } }, { reason: 'rate' }]);
  });

  it('of a client that left while a rate was asked for elsewhere is not served', async () => {
    const { plain, gone } = route(null, { requests_per_second: 5 });
    gone.notify();
    await expect(plain()).rejects.toMatchObject({ code: 'client_gone' });
  });
});

describe('somebody whose access was taken back', () => {
  it.each([
    ['by subject', { subject: 'ada' }],
    ['by address', { address: '192.0.2.0/24' }],
    ['by route', { route: 'app' }],
  ])('%s is refused, and holds nothing', async (_, revocation) => {
    const { handshake, plain, revoke } = route(() => ADA);
    revoke(revocation);
    for (let i = 0; i < 2; i++) expect(await handshake()).toMatchObject({ reason: 'revoked', status: 403 });
    expect(await plain()).toMatchObject({ reason: 'revoked' });
  });

  it('is refused also where nobody asks who it is', async () => {
    const { handshake, plain, revoke } = route(null);
    revoke({ subject: 'ada' });
    expect(isGranted(await plain())).toBe(true);
    revoke({ address: '192.0.2.1' });
    expect(await plain()).toMatchObject({ reason: 'revoked' });
    expect(await handshake()).toMatchObject({ reason: 'revoked' });
  });
});
