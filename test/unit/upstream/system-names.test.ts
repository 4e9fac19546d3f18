// Where a name without `dns:` is looked for, and in which order.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { openSystemNames, readHosts, readSearch } from '../../../src/upstream/system-names.ts';
import { startDns, type TestDns, type Zone } from '../../support/dns.ts';

let dns: TestDns | undefined;
afterEach(() => {
  dns?.close();
  dns = undefined;
});

interface System {
  readonly zone?: Zone;
  readonly hosts?: string;
  readonly resolvConf?: string;
  readonly library?: (name: string) => Promise<readonly string[]>;
}

async function start({ zone = {}, hosts = '', resolvConf = '', library }: System) {
  dns = await startDns(zone);
  const directory = mkdtempSync(join(tmpdir(), 'upgate-names-'));
  const files = { hosts: join(directory, 'hosts'), resolvConf: join(directory, 'resolv.conf') };
  writeFileSync(files.hosts, hosts);
  writeFileSync(files.resolvConf, resolvConf);
  const unknown = (name: string) =>
    Promise.reject(Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), { code: 'ENOTFOUND' }));
  const lookUp = openSystemNames({ ...files, resolvers: [dns.address], library: library ?? unknown });
  return { find: (name: string) => lookUp(name, []), dns, files };
}

describe('a name', () => {
  it('of the hosts file is asked nobody for, and the file is read anew', async () => {
    const { find, dns, files } = await start({
      hosts: '# names\n127.0.0.1\tlocalhost Box # here\n::1 localhost\nnone localhost\n',
      zone: { box: ['10.0.0.1'] },
    });
    expect((await find('localhost')).addresses).toEqual(['127.0.0.1', '::1']);
    expect((await find('box')).addresses).toEqual(['127.0.0.1']);
    expect(dns.asked).toEqual([]);
    writeFileSync(files.hosts, '127.0.0.9 box\n');
    expect((await find('box')).addresses).toEqual(['127.0.0.9']);
  });

  it.each([
    ['chat', 'search one.test two.test\n', ['chat.one.test', 'chat.two.test'], '10.0.0.2'],
    ['chat', 'search one.test\nsearch two.test\n', ['chat.two.test'], '10.0.0.2'],
    ['chat.two', 'search test\n', ['chat.two', 'chat.two.test'], '10.0.0.2'],
    ['chat.two', 'search test\noptions ndots:5\n', ['chat.two.test'], '10.0.0.2'],
    ['chat.two.test', '', ['chat.two.test'], '10.0.0.2'],
    ['chat.two.test.', 'search one.test\noptions ndots:5\n', ['chat.two.test'], '10.0.0.2'],
  ])('%s is looked for in the search domains (%j)', async (name, resolvConf, asked, address) => {
    const { find, dns } = await start({ resolvConf, zone: { 'chat.two.test': ['10.0.0.2'] } });
    expect(await find(name)).toEqual({ addresses: [address], ttlMs: 1000, fault: null });
    expect(dns.asked.filter((one) => one.startsWith('A ')).map((one) => one.slice(2))).toEqual(asked);
  });

  it('that DNS does not know is asked the system for, one at a time', async () => {
    const running: string[] = [];
    let most = 0;
    const { find } = await start({
      library: async (name) => {
        running.push(name);
        most = Math.max(most, running.length);
        await new Promise(setImmediate);
        running.pop();
        return ['10.0.0.7'];
      },
    });
    const found = await Promise.all(['a.local', 'b.local', 'c.local'].map(find));
    expect(found.map(({ addresses }) => addresses)).toEqual([['10.0.0.7'], ['10.0.0.7'], ['10.0.0.7']]);
    expect(most).toBe(1);
  });

  it('that nobody knows says so, by the code of getaddrinfo', async () => {
    const { find } = await start({});
    expect(await find('none.test')).toEqual({ addresses: [], ttlMs: 0, fault: 'ENOTFOUND' });
  });

  it('that DNS fails on is not asked the system for', async () => {
    const asked: string[] = [];
    const { find } = await start({
      zone: { 'broken.test': 'fail' },
      library: async (name) => {
        asked.push(name);
        return [];
      },
    });
    expect(await find('broken.test')).toMatchObject({ addresses: [], fault: 'ESERVFAIL' });
    expect(asked).toEqual([]);
  });
});

it('reads files of any size in a line, and what is no entry as none', () => {
  const odd = `${'\t '.repeat(15_000)}#${'; '.repeat(15_000)}\n`;
  expect(readHosts(`${odd}10.0.0.1 a\n10.0.0.1 a\n10.0.0.300 a\n10.0.0.2 b\n`, 'A')).toEqual(['10.0.0.1']);
  expect(readSearch(`${odd}options ndots:x rotate\ndomain test\n`)).toEqual({ domains: ['test'], ndots: 1 });
});
