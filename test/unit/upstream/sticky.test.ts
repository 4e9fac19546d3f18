// The cookie that keeps a client with its server: what it says, and what it does not tell.
import { describe, expect, it } from 'vitest';
import { asking } from '../../support/balancer-request.ts';
import { makePool } from '../../support/pools.ts';

const SECRET = 'a secret of the tests';
const sticky = (more: object = {}) => makePool({ sticky: { secret: SECRET, ...more } }).pool;
const cookieOf = (fields: readonly string[]) => /^([^=]+=[^;]+)/.exec(fields[1]!)![1]!;
const withCookie = (cookie: string) => asking({ fields: ['Cookie', cookie] });

describe('a sticky cookie', () => {
  it('is for this site only, out of reach of scripts, and opaque', () => {
    const pool = sticky();
    const [name, value] = pool.sticky!.fieldsFor(pool.servers[0]!, asking());
    expect(name).toBe('Set-Cookie');
    expect(value).toMatch(/^upgate_chat=[A-Za-z0-9_-]{22}; Path=\/; HttpOnly; SameSite=Lax$/);
    expect(Buffer.from(value!.slice(12, 34), 'base64url').toString('latin1')).not.toContain('a:1');
  });

  it('is Secure over TLS, ours or that of the trusted proxy in front', () => {
    const pool = sticky({ cookie: 'sid', max_age: '90m' });
    const said = (change: object) => pool.sticky!.fieldsFor(pool.servers[0]!, asking(change))[1];
    expect(said({ secure: true })).toMatch(/^sid=.*; Path=\/; Max-Age=5400; HttpOnly; SameSite=Lax; Secure$/);
    const fields = ['X-Forwarded-Proto', 'https'];
    expect(said({ fields, viaTrusted: true })).toMatch(/; Secure$/);
    expect(said({ fields })).not.toContain('Secure');
    expect(said({ fields: ['X-Forwarded-Proto', 'http'], viaTrusted: true, secure: true })).not.toContain('Secure');
  });

  it('leads back to its server, is not given twice, and holds after a reload and in another process', () => {
    const pool = sticky();
    for (const server of pool.servers) {
      const ask = withCookie(cookieOf(pool.sticky!.fieldsFor(server, asking())));
      expect(pool.pick(ask)).toBe(server);
      expect(pool.sticky!.fieldsFor(server, ask)).toEqual([]);
      expect(makePool({ sticky: { secret: SECRET } }).pool.pick(ask)?.url).toBe(server.url);
    }
  });

  it('with another secret says another thing', () => {
    const values = [sticky(), sticky({ secret: 'another secret of tests' }), makePool({ sticky: {} }).pool].map(
      (pool) => cookieOf(pool.sticky!.fieldsFor(pool.servers[0]!, asking())),
    );
    expect(new Set(values).size).toBe(3);
  });

  it('that names none of the servers, or one that cannot take more, is replaced', () => {
    const { pool } = makePool({
      servers: [{ url: 'ws://a:1', max_connections: 1 }, 'ws://b:1'],
      sticky: { secret: SECRET },
    });
    expect(pool.pick(withCookie('upgate_chat=AAAAAAAAAAAAAAAAAAAAAA'))).not.toBeNull();
    const held = withCookie(cookieOf(pool.sticky!.fieldsFor(pool.servers[0]!, asking())));
    pool.take(pool.pick(held)!);
    const other = pool.pick(held)!;
    expect(other.url).toBe('ws://b:1');
    expect(cookieOf(pool.sticky!.fieldsFor(other, held))).toMatch(/^upgate_chat=/);
  });
});
