// The metrics of certificates that are ordered from an authority (ACME).
import { type Metric, one } from './metric.ts';

/** By name without the prefix `gateway_`. */
export const ACME = {
  acme_orders_total: {
    type: 'counter',
    help: 'Orders of certificates from ACME authorities by result.',
    doc: 'Orders of certificates: `issued` or `failed`. See [TLS](tls.md)',
    labels: ['result'],
    on: { certificate_ordered: (event) => one(event.result) },
    initial: [
      { labels: ['issued'], value: 0 },
      { labels: ['failed'], value: 0 },
    ],
  },
  acme_errors_total: {
    type: 'counter',
    help: 'Why orders of certificates failed: a type of RFC 8555 section 6.7, timeout, storage, or other.',
    doc: 'Failed orders by reason: a type of RFC 8555 §6.7 such as `rateLimited` or `dns`, `connection`, `timeout`, `storage`, `other`',
    labels: ['reason'],
    on: { certificate_ordered: (event) => (event.reason === null ? null : one(event.reason)) },
  },
  acme_last_order_successful: {
    type: 'gauge',
    help: 'Whether the last order of a certificate was successful: 1, or 0 while orders fail.',
    doc: '1, or 0 while the orders of a certificate fail',
    labels: ['names'],
    // Sampled, so that one that the config no longer asks for is not reported to fail.
    sampled: true,
  },
} as const satisfies Record<string, Metric>;
