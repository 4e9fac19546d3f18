import { describe, expect, it, vi } from 'vitest';
import type { ClientResponse, ResponseHead } from '../../../src/proxy/client.ts';
import { HstsResponse } from '../../../src/proxy/hsts-response.ts';

const headWith = (...fields: string[]): ResponseHead => ({ status: 200, phrase: null, fields, framing: 'length' });
const VALUE = 'max-age=60';

function wrapped() {
  const calls: Record<string, ReturnType<typeof vi.fn>> = {};
  const inner = new Proxy({ status: 204, headersSent: true, closed: true, bytesToClient: 7 } as object, {
    get(known, name: string) {
      if (name in known) return known[name as keyof typeof known];
      calls[name] ??= vi.fn(() => name === 'write');
      return calls[name];
    },
  }) as ClientResponse;
  return { calls, response: new HstsResponse(inner, VALUE) };
}

describe('a response with HSTS', () => {
  it('has the field behind those of its head, whole or in parts', () => {
    const { calls, response } = wrapped();
    const body = Buffer.from('a');
    response.answer(headWith('A', '1'), body);
    response.head(headWith());
    const field = ['Strict-Transport-Security', VALUE];
    expect(calls['answer']).toHaveBeenCalledWith(headWith('A', '1', ...field), body);
    expect(calls['head']).toHaveBeenCalledWith(headWith(...field));
  });

  it('leaves one alone that its server says', () => {
    const { calls, response } = wrapped();
    const own = headWith('strict-transport-security', 'max-age=1');
    response.head(own);
    expect(calls['head']).toHaveBeenCalledWith(own);
  });

  it('hands on all else', () => {
    const { calls, response } = wrapped();
    expect([response.status, response.headersSent, response.closed, response.bytesToClient]).toEqual([
      204,
      true,
      true,
      7,
    ]);
    const nothing = () => {};
    response.notify(null);
    response.onClosed(nothing);
    response.closeAfter();
    response.interim(103, 'Early Hints', ['Link', 'a']);
    expect(response.write(Buffer.from('b'))).toBe(true);
    response.end(null, []);
    response.flush();
    response.cut();
    response.cutBehind(5, nothing);
    expect(Object.entries(calls).map(([name, call]) => [name, call.mock.calls[0]])).toEqual([
      ['notify', [null]],
      ['onClosed', [nothing]],
      ['closeAfter', []],
      ['interim', [103, 'Early Hints', ['Link', 'a']]],
      ['write', [Buffer.from('b')]],
      ['end', [null, []]],
      ['flush', []],
      ['cut', []],
      ['cutBehind', [5, nothing]],
    ]);
  });
});
