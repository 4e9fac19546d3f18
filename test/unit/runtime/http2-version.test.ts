import { expect, it } from 'vitest';
import type { ListenerConfig } from '../../../src/config/schema/schema.ts';
import { http2Warnings, nghttp2Warnings } from '../../../src/runtime/http2-version.ts';

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

const open = { prior_knowledge: true };
const asking = [
  { http2: open },
  { tls, http2: open },
  {},
  { tls },
  { tls, http2: null },
] as unknown as ListenerConfig[];

it.each([
  ['1.61.0', true],
  ['1.68.0', true],
  ['1.68.1', false],
  ['1.70.0', false],
  ['2.0.0', false],
])('nghttp2 %s is warned of where a listener asks for HTTP/2: %s', (nghttp2, warned) => {
  const found = nghttp2Warnings(asking, nghttp2);
  const listeners = [0, 1].map((i) => ['listeners', i, 'warning']);
  expect(found.map(({ path, severity }) => [...path, severity])).toEqual(warned ? listeners : []);
});
