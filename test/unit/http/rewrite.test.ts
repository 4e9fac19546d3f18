// Paths on the way to a backend, and its own addresses on the way back.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type PathRule, rewriteTarget, showCookie, showLocation, type View } from '../../../src/http/rewrite.ts';
import { parseTarget } from '../../../src/http/target.ts';
import { compilePath, matchPath } from '../../../src/routing/pattern.ts';

function rule(pattern: string, prefix: string | null, encodedSlashes: PathRule['encodedSlashes'] = 'keep'): PathRule {
  const compiled = compilePath(pattern);
  if (typeof compiled === 'string') throw new Error(compiled);
  const fits = (path: string) => matchPath(compiled, path) !== null;
  return { segments: compiled.segments.length, prefix, encodedSlashes, fits };
}

function sentTo(rules: PathRule, raw: string): string {
  const target = parseTarget(raw);
  if ('fault' in target) throw new Error(target.fault);
  const sent = rewriteTarget(rules, target);
  return 'fault' in sent ? sent.fault : sent.target;
}

describe('a target', () => {
  it.each([
    ['/api/*', '', '/api/x?y=/api/', '/x?y=/api/'],
    ['/api/*', '', '/api/', '/'],
    ['/api/*', '', '/api/?', '/?'],
    ['/api/*', '', '/api//x/', '//x/'],
    ['/api/*', '/v2', '/api/x', '/v2/x'],
    ['/*', '/v2', '/x', '/v2/x'],
    ['/a/{b}/*', '/c', '/a/b%2Fb/d', '/c/d'],
    ['/api/*', '', '/api/a%2fb%7e;c', '/a%2Fb~;c'],
    // Dots are resolved before the prefix is taken, and climb no further.
    ['/api/*', '', '/x/../api/./y/../z', '/z'],
    ['/api/*', '', '/api/../api/z', '/z'],
  ])('under %s with prefix "%s": %s is sent as %s', (pattern, prefix, raw, sent) => {
    expect(sentTo(rule(pattern, prefix), raw)).toBe(sent);
  });

  it('that does not change is sent as it came', () => {
    expect(sentTo(rule('/api/*', '/api'), '/api/./a%7e')).toBe('/api/./a%7e');
    expect(sentTo(rule('/api/*', null, 'decode'), '/api/./a%7e')).toBe('/api/./a%7e');
  });

  it('has its encoded slashes kept, decoded or refused', () => {
    expect(sentTo(rule('/api/*', null), '/api/a%2fb')).toBe('/api/a%2fb');
    expect(sentTo(rule('/api/*', null, 'decode'), '/api/a%2fb?c=%2f')).toBe('/api/a/b?c=%2f');
    expect(sentTo(rule('/api/*', null, 'reject'), '/api/a%2Fb')).toBe('the path holds an encoded slash');
  });

  it.each(['/api/..%2fadmin', '/api/a%2f..%2f..%2fadmin', '/api/%2e%2e%2fadmin'])(
    '%s does not leave its route by decoding',
    (raw) => expect(parseTarget(raw)).toEqual({ fault: expect.stringContaining('read alike') }),
  );

  it('a path that decodes to more segments than its route has leads elsewhere', () => {
    expect(sentTo(rule('/a/{b}', '/c', 'decode'), '/a/b%2fc')).toMatch(/leads elsewhere/);
  });

  it('never climbs above its prefix, whatever the path', () => {
    const segment = fc.constantFrom('..', '.', '', 'a', '%2e%2e', '%2f', '..%2f', 'api', '%2E.');
    fc.assert(
      fc.property(fc.array(segment, { maxLength: 8 }), (segments) => {
        const target = parseTarget(`/api/${segments.join('/')}`);
        const rules = rule('/api/*', '/in', 'decode');
        if ('fault' in target || !rules.fits(target.path)) return;
        const sent = rewriteTarget(rules, target);
        if ('fault' in sent) return;
        expect(sent.target).toMatch(/^\/in\//);
        expect(sent.target.split('/')).not.toContain('..');
      }),
    );
  });
});

const view: View = {
  shown: '/api',
  sent: '/v2',
  own: ['rest:9002'],
  origin: 'https://app.example.com',
};

describe('Location', () => {
  it.each([
    ['/v2/x?y#z', '/api/x?y#z'],
    ['/v2', '/api'],
    ['/v20/x', '/v20/x'],
    ['/other', '/other'],
    ['x/y', 'x/y'],
    ['http://REST:9002/v2/x', 'https://app.example.com/api/x'],
    ['//rest:9002/v2/x', 'https://app.example.com/api/x'],
    ['http://rest:9002', 'https://app.example.com/'],
    ['http://elsewhere/v2/x', 'http://elsewhere/v2/x'],
  ])('%s is shown as %s', (value, shown) => expect(showLocation(value, view)).toBe(shown));

  it('gets a prefix back that was taken away, and keeps an authority that the client knows', () => {
    const stripped = { ...view, sent: '', origin: null };
    expect(showLocation('/x', stripped)).toBe('/api/x');
    expect(showLocation('http://rest:9002/x', stripped)).toBe('http://rest:9002/api/x');
  });
});

describe('Set-Cookie', () => {
  it.each([
    ['a=b', 'a=b'],
    ['a=/v2; Path=/v2; HttpOnly', 'a=/v2; Path=/api; HttpOnly'],
    ['a=b;path=/v2/x', 'a=b;path=/api/x'],
    ['a=b; Path=/other', 'a=b; Path=/other'],
    ['a=b; Domain=.rest; Secure', 'a=b; Secure'],
    ['a=b; Domain=example.com', 'a=b; Domain=example.com'],
  ])('%s is shown as %s', (value, shown) => expect(showCookie(value, view)).toBe(shown));

  it('keeps its Domain where the backend knows the client’s Host', () => {
    expect(showCookie('a=b; Domain=rest', { ...view, origin: null })).toBe('a=b; Domain=rest');
  });
});

describe('at the edges', () => {
  it('decoded slashes may not lead above the root', () => {
    expect(parseTarget('/a%2F..%2F..%2Fb')).toEqual({ fault: expect.stringContaining('read alike') });
  });
  it('a path that is all prefix becomes the root, and one that ends within it is all there is', () => {
    expect(sentTo(rule('/api', ''), '/api?x')).toBe('/?x');
    expect(sentTo(rule('/a/{b}', '/c'), '/a/b')).toBe('/c');
  });
  it('a Location that is the prefix alone is the root', () => {
    const view: View = { shown: '', sent: '/v2', own: ['backend'], origin: null };
    expect(showLocation('/v2', view)).toBe('/');
    expect(showLocation('//backend', view)).toBe('//backend/');
  });
});
