// Paths on the way to a backend, and its own addresses on the way back.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Fitting,
  type PathRule,
  type PathView,
  rewriteTarget,
  showCookie,
  showLocation,
} from '../../../../src/http/policy/rewrite.ts';
import { parseTarget } from '../../../../src/http/target.ts';
import { compilePath, matchPath } from '../../../../src/routing/pattern.ts';

interface Rules {
  readonly rule: PathRule;
  readonly fitting: Fitting;
}

function rule(pattern: string, prefix: string | null, encodedSlashes: PathRule['encodedSlashes'] = 'keep'): Rules {
  const compiled = compilePath(pattern);
  if (typeof compiled === 'string') throw new Error(compiled);
  const fits = (path: string) => matchPath(compiled, path) !== null;
  return { rule: { prefix, path: null, encodedSlashes }, fitting: { segments: compiled.segments.length, fits } };
}

function sentTo({ rule, fitting }: Rules, raw: string): string {
  const target = parseTarget(raw);
  if ('fault' in target) throw new Error(target.fault);
  const sent = rewriteTarget(rule, fitting, target);
  return 'fault' in sent ? sent.fault : sent.target;
}

describe('a target', () => {
  it.each([
    ['/api/*', '', '/api/x?y=/api/', '/x?y=/api/'],
    ['/api/*', '', '/api/', '/'],
    ['/api/*', '', '/api/?', '/?'],
    // Empty segments stay, but none begins a target: what stands behind two slashes would be taken for a host.
    ['/api/*', '', '/api//x//y/', '/x//y/'],
    ['/api/*', '', '//api//x', '/x'],
    ['/api/*', '/v2', '//api///x', '/v2/x'],
    ['/*', '/v2', '//evil.test/x', '/v2/evil.test/x'],
    ['/a/{b}/*', '', '/a//b//c', '/c'],
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

  it('goes to a path of the route’s own, with its query, and nothing is told back of it', () => {
    const { rule: prefixed, fitting } = rule('/ws/{a}', null);
    const target = parseTarget('/ws//x?y=1');
    if ('fault' in target) throw new Error(target.fault);
    const sent = { target: '/socket?y=1', shown: '', sent: '', path: '/ws/x' };
    expect(rewriteTarget({ ...prefixed, path: '/socket' }, fitting, target)).toEqual(sent);
  });

  it('that does not change is sent as it came', () => {
    expect(sentTo(rule('/api/*', '/api'), '//api//x')).toBe('//api//x');
    expect(sentTo(rule('/api/*', null, 'decode'), '//api//x%2Fy')).toBe('//api//x/y');
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
        if ('fault' in target || !rules.fitting.fits(target.path)) return;
        const sent = rewriteTarget(rules.rule, rules.fitting, target);
        if ('fault' in sent) return;
        expect(sent.target).toMatch(/^\/in\//);
        expect(sent.target.split('/')).not.toContain('..');
      }),
    );
  });
});

const view: PathView = {
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

describe('a Location that a stripped prefix would make another host of', () => {
  const stripped: PathView = { shown: '', sent: '/app', own: ['Rest.:9002', 'app.example.com'], origin: null };
  it.each([
    ['/app//evil.test/', '/evil.test/'],
    ['/app///evil.test', '/evil.test'],
    ['/app/\\evil.test', '/evil.test'],
    ['/app/\\/evil.test', '/evil.test'],
    ['/app/\t/evil.test', '/evil.test'],
    ['/app/x//y', '/x//y'],
    ['/app//evil.test?x#y', '/evil.test?x#y'],
    ['http://rest:9002/app//evil.test', 'http://rest:9002/evil.test'],
  ])('%j is shown as %j', (value, shown) => expect(showLocation(value, stripped)).toBe(shown));

  it('whatever the backend says of its own paths, it is no other authority', () => {
    const part = fc.constantFrom('/', '\\', '\t', 'evil.test', '/app', '.', '?', '#');
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
        const value = `/app/${parts.join('')}`;
        const shown = showLocation(value, stripped);
        expect(new URL(shown, 'http://app.example.com').host).toBe('app.example.com');
        expect(shown).not.toMatch(/^\/[/\\]/);
      }),
    );
  });

  it('knows its own hosts with a final dot, in any case, by their port', () => {
    expect(showLocation('http://REST.:9002/app/x', stripped)).toBe('http://REST.:9002/x');
    expect(showLocation('http://app.example.com./app/x', stripped)).toBe('http://app.example.com./x');
    expect(showLocation('http://rest:9003/app/x', stripped)).toBe('http://rest:9003/app/x');
    expect(showLocation('http://u@rest:9002/app/x', stripped)).toBe('http://u@rest:9002/app/x');
  });
});

describe('Set-Cookie', () => {
  it.each([
    ['a=b', 'a=b'],
    ['a=/v2; Path=/v2; HttpOnly', 'a=/v2; Path=/api; HttpOnly'],
    ['a=b;path=/v2/x', 'a=b;path=/api/x'],
    ['a=b; Path=/other', 'a=b; Path=/other'],
    ['a=b; Domain=.rest; Secure', 'a=b; Secure'],
    ['a=b; Domain=REST.', 'a=b'],
    ['a=b; Domain=.', 'a=b; Domain=.'],
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
    const view: PathView = { shown: '', sent: '/v2', own: ['backend'], origin: null };
    expect(showLocation('/v2', view)).toBe('/');
    expect(showLocation('//backend', view)).toBe('//backend/');
  });
});
