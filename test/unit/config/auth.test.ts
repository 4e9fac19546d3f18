// The `auth` block: what is wrong between its fields, at its place and in the words that an operator sees.
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/parse.ts';
import { formatProblem } from '../../../src/config/problem.ts';

const problemsOf = (auth: string, websocket = '{ mode: terminate, handler: echo, origins: any }') =>
  parseConfig(
    `listeners:\n  - port: 80\nroutes:\n  - name: a\n    match: { path: "/{room}" }\n    auth: ${auth}\n    websocket: ${websocket}\n`,
    { file: 'g', env: {} },
  ).problems.map((problem) => formatProblem(problem).slice('g:6:'.length));

const JWKS = 'jwks: https://login.example.com/jwks, audience: a, algorithms: [ES256]';

describe('auth', () => {
  it.each([
    `{ jwt: { ${JWKS} } }`,
    `{ jwt: { ${JWKS}, from: [header, { cookie: a }, { query: t }, { subprotocol: bearer. }] } }`,
    `{ jwt: { ${JWKS}, issuer: [a, b], required_claims: { a: x, b: 1, c: true }, max_age: 1h, clock_skew: 0s } }`,
    '{ jwt: { jwks: "http://127.0.0.1:8080/", audience: a, algorithms: [ES256] } }',
    '{ jwt: { jwks: "http://[::1]/", audience: a, algorithms: [ES256] }, preflight: pass }',
    '{ jwt: { key_file: a.pem, algorithms: [RS256] } }',
    '{ jwt: { key: secret, algorithms: [HS256] } }',
  ])('%s', (text) => expect(problemsOf(text)).toEqual([]));

  it.each([
    ['{}', 'auth: needs a kind of credentials (jwt)'],
    ['{ jwt: { algorithms: [RS256] } }', 'jwt: needs "jwks", "key" or "key_file"'],
    [`{ jwt: { ${JWKS}, key: a } }`, '"key" beside "jwks"'],
    ['{ jwt: { key: a, key_file: b, algorithms: [RS256] } }', '"key_file" beside "key"'],
    [`{ jwt: { ${JWKS.replace('ES256', 'ES256, HS256')} } }`, 'algorithms[1]: HS algorithms need a secret'],
    [`{ jwt: { ${JWKS.replace('https', 'http')} } }`, 'warning: routes[0].auth.jwt.jwks: whoever is on the way'],
    [`{ jwt: { ${JWKS.replace('audience: a, ', '')} } }`, 'warning: routes[0].auth.jwt: tokens that the issuer'],
    [`{ jwt: { ${JWKS.replace('ES256', 'none')} } }`, 'algorithms[0]: must be RS256'],
    [`{ jwt: { ${JWKS.replace('https://login', 'ftp://login')} } }`, 'jwks: must be an https URL'],
    ['{ jwt: { jwks: "https://a/", audience: a } }', 'algorithms: missing'],
    [`{ jwt: { ${JWKS}, from: [] } }`, 'from'],
    [`{ jwt: { ${JWKS}, from: [body] } }`, 'from[0]'],
  ])('%s', (text, problem) => {
    const problems = problemsOf(text);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(problem);
  });

  const rooms = '{ mode: terminate, handler: rooms, origins: any, rooms: { user: "{claim.sub}" } }';
  it('claims name a user only where there are claims', () => {
    expect(problemsOf(`{ jwt: { ${JWKS} } }`, rooms)).toEqual([]);
    const without = parseConfig(
      `listeners:\n  - port: 80\nroutes:\n  - name: a\n    match: { path: "/{room}" }\n    websocket: ${rooms}\n`,
      { file: 'g', env: {} },
    ).problems.map(formatProblem);
    expect(without).toEqual([
      expect.stringContaining('rooms.user: {claim.sub} is of credentials, and the route asks for none'),
    ]);
  });
});
