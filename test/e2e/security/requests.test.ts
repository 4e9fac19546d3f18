// Request smuggling, case by case through the built gateway: the exact answers, and the exact requests at the backend,
// with each HTTP engine. The next client must get its own answer each time.
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OWN_SERVER } from '../../support/gateway.ts';
import { attack } from './attack.ts';
import { GROUPS, SCRIPTS } from './cases.ts';
import { ENGINES, type ProxyUnderTest, startUpgate } from './proxies.ts';

describe.each(ENGINES)('with the %s engine', (engine) => {
  let proxy: ProxyUnderTest;
  beforeAll(async () => {
    proxy = await startUpgate(SCRIPTS, engine);
  });
  afterAll(() => proxy.stop());

  // `%s` and not `$name`, which vitest would shorten.
  describe.each(GROUPS.map(({ title, cases }) => [title, cases] as const))('%s', (_, cases) => {
    it.each(cases.map((one) => [one.name, one] as const))('%s', async (_, one) => {
      const outcome = await attack(proxy, one);
      const wanted = !OWN_SERVER && one.byNode ? [one.byNode] : [one.want, ...(one.or ?? [])];
      expect(outcome).toEqual(wanted.find((other) => isDeepStrictEqual(outcome, other)) ?? wanted[0]);
    });
  });
});
