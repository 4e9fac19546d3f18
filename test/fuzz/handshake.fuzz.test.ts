// The parsers of a handshake: accepted, or a documented rejection. What `ws` accepts or refuses is the second opinion.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as ws from 'ws';
import { readExtensions } from '../../src/handshake/extensions.ts';
import { readHandshake } from '../../src/handshake/handshake.ts';
import { originAllowed, parseOrigin, parseOriginPattern } from '../../src/handshake/origin.ts';
import { isRejection, REJECTIONS } from '../../src/handshake/rejection.ts';
import { readOffer } from '../../src/handshake/subprotocol.ts';
import { isToken, listElements, trimOws } from '../../src/http/fields.ts';
import { always, anyHead, fieldValue, likeOrigin, numRuns, octets } from '../support/arbitraries.ts';
import { handshakeHead } from '../support/heads.ts';

/** The parsers of ws, which its types leave out. */
const { extension, subprotocol } = ws as unknown as {
  extension: { parse(text: string): Record<string, Record<string, (string | true)[]>[]> };
  subprotocol: { parse(text: string): Set<string> };
};

const headWith = (name: string, lines: readonly string[]) => handshakeHead({ fields: { [name]: lines } });
const lines = fc.array(fieldValue, { maxLength: 3 });

describe('subprotocols', () => {
  it('are distinct tokens, or malformed', () => {
    always(lines, (values) => {
      const head = headWith('Sec-WebSocket-Protocol', values);
      const offer = readOffer(head);
      const elements = listElements(head, 'sec-websocket-protocol');
      const wellFormed = elements.every(isToken) && new Set(elements).size === elements.length;
      if (isRejection(offer)) expect([offer.reason, wellFormed]).toEqual(['malformed', false]);
      else expect([offer, wellFormed]).toEqual([elements, true]);
    });
  });
  it('are what ws reads, once empty elements are gone', () => {
    always(lines, (values) => {
      const offer = readOffer(headWith('Sec-WebSocket-Protocol', values));
      const joined = values
        .join(',')
        .split(',')
        .map(trimOws)
        .filter((part) => part !== '')
        .join(', ');
      if (joined === '') return expect(offer).toEqual([]);
      let theirs: string[] | null = null;
      try {
        theirs = [...subprotocol.parse(joined)];
      } catch {}
      expect(isRejection(offer) ? null : offer).toEqual(theirs);
    });
  });
});

describe('extensions', () => {
  it('that ws reads are read the same way', () => {
    always(fieldValue, (value) => {
      let theirs: ReturnType<typeof extension.parse>;
      try {
        theirs = extension.parse(value);
      } catch {
        return;
      }
      const ours = readExtensions(headWith('Sec-WebSocket-Extensions', [value]));
      expect(isRejection(ours)).toBe(false);
      if (isRejection(ours)) return;
      const regrouped: typeof theirs = Object.create(null);
      for (const { name, parameters } of ours) {
        const group: Record<string, (string | true)[]> = Object.create(null);
        for (const [parameter, of] of parameters) group[parameter] = [...(group[parameter] ?? []), of ?? true];
        regrouped[name] = [...(regrouped[name] ?? []), group];
      }
      expect(regrouped).toEqual(theirs);
    });
  });
  it('are tokens throughout, or malformed', () => {
    always(fc.oneof(lines, fc.array(octets, { maxLength: 2 })), (values) => {
      const read = readExtensions(headWith('Sec-WebSocket-Extensions', values));
      if (isRejection(read)) return expect(read.reason).toBe('malformed');
      for (const { name, parameters } of read) {
        for (const text of [name, ...parameters.flat()]) expect(text === null || isToken(text)).toBe(true);
      }
    });
  });
});

describe('Origin', () => {
  const text = fc.oneof(likeOrigin, octets);
  it('is a tuple only where it is exactly scheme, host and port', () => {
    always(text, (origin) => {
      const tuple = parseOrigin(origin);
      if (tuple === null) return;
      expect(origin.toLowerCase()).toMatch(new RegExp(`^${tuple.scheme}://`));
      expect(origin.toLowerCase().slice(tuple.scheme.length + 3)).toMatch(
        /^([a-z0-9._~-]+|\[[0-9a-f:.]+\])(:\d{1,5})?$/,
      );
    });
  });
  it('passes a list only where the URL standard reads the same origin', () => {
    const rule = {
      kind: 'listed',
      patterns: ['https://app.example.com', 'https://*.example.com', 'http://app.example.com:8080'].map(
        (one) => parseOriginPattern(one)!,
      ),
    } as const;
    always(
      text,
      (origin) => {
        if (!originAllowed(rule, origin, null)) return;
        const url = new URL(origin);
        expect([url.username, url.password, url.search, url.hash, url.pathname]).toEqual(['', '', '', '', '/']);
        expect(url.origin).toMatch(/^https:\/\/[^.]+\.example\.com$|^http:\/\/app\.example\.com:8080$/);
      },
      numRuns * 10,
    );
  });
  it('of the same host is the host that the browser would have shown', () => {
    const hosts = fc.constantFrom('app.example.com', 'app.example.com:443', '[::1]:80', 'evil', 'app');
    always(
      fc.tuple(text, hosts),
      ([origin, host]) => {
        const [, name = '', port] = /^(.*?)(?::(\d+))?$/.exec(host) ?? [];
        const authority = { host: name, port: port === undefined ? null : Number(port) };
        if (originAllowed({ kind: 'same-host' }, origin, authority)) expect(new URL(origin).hostname).toBe(name);
      },
      numRuns * 10,
    );
  });
});

it('a handshake is read whole, or refused by a reason of the table', () => {
  let read = 0;
  always(
    anyHead,
    (head) => {
      const handshake = readHandshake(head, [13, 8]);
      if (isRejection(handshake)) {
        expect(REJECTIONS).toHaveProperty(handshake.reason);
        expect(handshake.status).toBe(REJECTIONS[handshake.reason].status);
        return;
      }
      read++;
      expect(Buffer.from(handshake.key, 'base64')).toHaveLength(16);
      expect(head.method).toBe('GET');
      expect([13, 8]).toContain(handshake.version);
    },
    numRuns * 5,
  );
  expect(read).toBeGreaterThan(0);
});
