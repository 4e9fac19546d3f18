// Anything that can be read off a connection: it is read, or refused with a fault, and nothing throws.
import { IncomingMessage } from 'node:http';
import { isIP, Socket } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isToken, listElements, listHas, lowerNames, trimOws, valuesOf } from '../../src/http/fields.ts';
import { attribute, compileTrustedProxies } from '../../src/http/forwarding/forwarded.ts';
import { readHead, readRequest } from '../../src/http/head.ts';
import { requestFields, responseFields } from '../../src/http/policy/policy.ts';
import { normalisePath, parseAuthority, parseTarget } from '../../src/http/target.ts';
import { always, anyHead, fieldValue, likeTarget, octets } from '../support/arbitraries.ts';

const fault = { fault: expect.stringMatching(/\w/) };

describe('targets', () => {
  it('are taken apart or refused, and what is forwarded is what came', () => {
    always(fc.oneof(likeTarget, octets), (text) => {
      const target = parseTarget(text);
      if ('fault' in target) return expect(target).toEqual(fault);
      if (text === '*') return expect(target.raw).toBe('*');
      expect(text.endsWith(target.raw) || target.raw === `/${text.slice(text.length - target.raw.length + 1)}`).toBe(
        true,
      );
      expect(target.raw).toMatch(/^\//);
      expect(target.path).toMatch(/^\//);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
      expect(target.path).not.toMatch(/[\x00-\x20\x7f-\xff\\]/);
      expect(target.path.split('/')).not.toContain('..');
      expect(target.path.split('/')).not.toContain('.');
    });
  });
  it('have one normal form: normalising again changes nothing', () => {
    always(likeTarget, (text) => {
      const target = parseTarget(text);
      if ('fault' in target || target.path === '*') return;
      // %25 stays escaped, so that nothing can be decoded twice.
      expect(normalisePath(target.path)).toBe(target.path);
    });
  });
  it('resolve as the URL standard does, where both read them', () => {
    always(likeTarget, (text) => {
      const target = parseTarget(text);
      if ('fault' in target || !text.startsWith('/') || text.startsWith('//')) return;
      const { pathname } = new URL(`http://h${Buffer.from(text, 'latin1').toString('latin1').split('?')[0]}`);
      // That standard leaves escapes alone, other than those of dots, and writes octets beyond ASCII as UTF-8.
      if (/[%\x80-\xff"<>^`{|}]/.test(text)) return;
      // Empty segments count for nothing here.
      expect(target.path).toBe(pathname.replace(/\/{2,}/g, '/'));
    });
  });
  it('in absolute-form name an authority that is judged', () => {
    always(octets, (text) => {
      const authority = parseAuthority(text);
      if (authority) expect(text.toLowerCase().startsWith(authority.host)).toBe(true);
    });
  });
});

describe('fields', () => {
  it('are joined lists whatever they hold', () => {
    always(fc.array(fieldValue, { maxLength: 4 }), (values) => {
      const fields = values.flatMap((value) => ['X', value]);
      const section = { fields, names: lowerNames(fields) };
      expect(valuesOf(section, 'x')).toEqual(values.map(trimOws));
      const elements = listElements(section, 'x');
      expect(elements).toEqual(
        values
          .join(',')
          .split(',')
          .map(trimOws)
          .filter((element) => element !== ''),
      );
      for (const element of elements) expect(listHas(section, 'x', element.toLowerCase())).toBe(true);
    });
  });
  it('hold tokens by one definition', () => {
    always(octets, (text) => expect(isToken(text)).toBe(/^[\w!#$%&'*+.^`|~-]+$/.test(text)));
  });
});

describe('heads', () => {
  it('are read from a message of node as they are', () => {
    always(anyHead, (head) => {
      const message = new IncomingMessage(new Socket());
      Object.assign(message, { method: head.method, url: head.target, httpVersion: head.version });
      message.rawHeaders = [...head.fields];
      expect(readHead(message, head.secure, head.peer)).toEqual(head);
    });
  });
  it('are a request or a fault', () => {
    always(anyHead, (head) => {
      const request = readRequest(head);
      // A coding that is not known is told apart: it is no mistake of the client.
      if ('fault' in request)
        return expect({ unknownCoding: true, ...request }).toEqual({ ...fault, unknownCoding: true });
      expect(request.head).toBe(head);
      if (head.version === '1.1') expect(request.authority).not.toBeNull();
      expect(request.authority === null).toBe(request.host === '');
    });
  });
  const trusted = compileTrustedProxies(['10.0.0.0/8', '::1']);
  it('tell of a client whose address is one, and whose id fits a log', () => {
    always(anyHead, (head) => {
      const client = attribute(head, trusted, () => 'fresh').client;
      expect(client.address === head.peer || isIP(client.address) > 0).toBe(true);
      expect(client.address).not.toMatch(/^::ffff:[\d.]+$/i);
      expect(client.id).toMatch(/^[\w.-]{1,128}$/);
      if (!client.viaTrusted)
        expect(client).toEqual({ address: head.peer, viaTrusted: false, id: 'fresh', connection: 'fresh' });
    });
  });
  it('never hand on a field of their connection, or a claim of an untrusted peer', () => {
    always(anyHead, (head) => {
      const request = readRequest(head);
      if ('fault' in request) return;
      const client = attribute(head, trusted, () => 'fresh').client;
      const names = lowerNames(
        requestFields({ request, client, route: 'r', params: {}, claims: null, granted: [] }, new Set()),
      );
      for (const name of ['connection', 'upgrade', 'transfer-encoding', 'te', 'http2-settings']) {
        expect(names).not.toContain(name);
      }
      const claims = names
        .map((name) => name.replaceAll('_', '-'))
        .filter((name) => /^x-forwarded-|^x-request-id$/.test(name));
      if (!client.viaTrusted) {
        const ours = ['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-request-id'];
        expect(ours).toEqual(expect.arrayContaining(claims));
      }
      expect(new Set(claims).size).toBe(claims.length);
      expect(names.filter((name) => name === 'host').length).toBe(request.host === '' ? 0 : 1);
      const kept = lowerNames(responseFields(head.fields));
      expect(kept).not.toContain('connection');
      expect(kept).not.toContain('x-gateway-reason');
    });
  });
});
