import { expect, it } from 'vitest';
import type { ListenerConfig } from '../../../src/config/schema/schema.ts';
import { http2Warnings } from '../../../src/runtime/http2-version.ts';

const tls = { self_signed: ['localhost'] };
const listeners = [{ tls }, {}, { tls, http2: null }] as unknown as ListenerConfig[];

it.each([
  ['20.19.9', true],
  ['20.20.0', false],
  ['21.7.3', true],
  ['22.21.9', true],
  ['22.22.0', false],
  ['23.11.0', true],
  ['24.12.0', true],
  ['24.13.0', false],
  ['25.0.0', false],
  ['26.10.0', false],
])('node %s is warned of where a listener has HTTP/2: %s', (node, warned) => {
  const found = http2Warnings(listeners, node);
  expect(found.map(({ path, severity }) => [...path, severity])).toEqual(warned ? [['listeners', 0, 'warning']] : []);
});
