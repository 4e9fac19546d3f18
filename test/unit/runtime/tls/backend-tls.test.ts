// The files behind `tls` of an upstream: what is wrong with them, each at its key, and that a change shows.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BackendTls } from '../../../../src/net/endpoint.ts';
import { loadBackendTls } from '../../../../src/runtime/tls/backend-tls.ts';
import { type Authority, type Issued, makeAuthority } from '../../../support/authority.ts';

let authority: Authority;
let client: Issued;
let other: Issued;
beforeAll(() => {
  authority = makeAuthority();
  client = authority.issue('client', 'client.test');
  other = authority.issue('other', 'other.test');
});
afterAll(() => authority.remove());

const load = (config: object) => loadBackendTls({ verify: true, ...config }, authority.dir);
const problems = async (config: object) => {
  const loaded = await load(config);
  return Array.isArray(loaded) ? loaded.map(({ path, message }) => `${path.join('.')}: ${message}`) : [];
};

describe('the TLS of an upstream', () => {
  it('takes relative paths, and is another one when anything of it changes', async () => {
    const ids: string[] = [];
    for (const config of [
      {},
      { verify: false },
      { server_name: 'a.test' },
      { ca: 'ca.crt' },
      { ca: 'ca.crt', cert: 'client.crt', key: 'client.key' },
      { ca: 'ca.crt', cert: 'other.crt', key: 'other.key' },
    ]) {
      const loaded = (await load(config)) as BackendTls;
      expect(loaded.options.rejectUnauthorized).toBe(!('verify' in config));
      expect(((await load(config)) as BackendTls).id).toBe(loaded.id);
      ids.push(loaded.id);
    }
    expect(new Set(ids).size).toBe(ids.length);
    expect((await load({ server_name: 'a.test' })) as BackendTls).toMatchObject({ serverName: 'a.test' });
  });

  it('says all that is wrong with its files at once, each at its key', async () => {
    expect(await problems({ ca: 'none.crt', cert: 'ca.key', key: 'ca.crt' })).toEqual([
      expect.stringMatching(/^ca: cannot read .*none\.crt: there is no such file$/),
      expect.stringMatching(/^cert: .*ca\.key holds no PEM certificate$/),
      expect.stringMatching(/^key: .*ca\.crt holds no PEM private key$/),
    ]);
    expect(await problems({ cert: client.files.cert, key: other.files.key })).toEqual([
      'key: the private key is not that of the first certificate in cert',
    ]);
    writeFileSync(join(authority.dir, 'bad.crt'), '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
    expect(await problems({ ca: 'bad.crt' })).toEqual([
      expect.stringMatching(/^ca: certificate 1 of .* cannot be read$/),
    ]);
  });
});
