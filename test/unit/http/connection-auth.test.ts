// Which requests and answers bind a connection to one client (RFC 4559 §6).
import { describe, expect, it } from 'vitest';
import { parseAnswerHead } from '../../../src/http/answer.ts';
import { answersConnectionAuth, authenticatesConnection } from '../../../src/http/connection-auth.ts';

describe('a request', () => {
  it.each(['NTLM TlRMTVNTUAABAAAA', 'ntlm x', 'Negotiate YII=', 'NEGOTIATE\tx', 'NTLM'])(
    'with "Authorization: %s" authenticates its connection',
    (value) => {
      expect(authenticatesConnection(['Host', 'a', 'aUTHORIZATION', value])).toBe(true);
    },
  );
  it.each(['Basic YTpi', 'Bearer NTLM', 'NTLMv2 x', 'Negotiates x', ''])(
    'with "Authorization: %s" does not',
    (value) => {
      expect(authenticatesConnection(['Authorization', value])).toBe(false);
    },
  );
  it('without credentials, or with them in a field of that length, does not', () => {
    expect(authenticatesConnection(['Host', 'a', 'If-None-Match', 'NTLM x', 'Authorizatiom', 'NTLM x'])).toBe(false);
  });
});

describe('an answer', () => {
  const tells = (...fields: string[]) => {
    const head = parseAnswerHead(['HTTP/1.1 401 Unauthorized', ...fields].join('\r\n'));
    if ('fault' in head) throw new Error(head.fault);
    return answersConnectionAuth(head);
  };
  it.each(['NTLM', 'Negotiate', 'negotiate YII=', 'Basic realm="a", NTLM', 'Basic realm="a",Negotiate,Digest x'])(
    'with "WWW-Authenticate: %s" tells of it',
    (value) => {
      expect(tells(`WWW-Authenticate: ${value}`)).toBe(true);
    },
  );
  it('tells of it in any of several fields, or by Persistent-Auth', () => {
    expect(tells('WWW-Authenticate: Basic realm="a"', 'WWW-Authenticate: NTLM')).toBe(true);
    expect(tells('Persistent-Auth: true')).toBe(true);
  });
  it('of other schemes, or of none, does not', () => {
    expect(tells('WWW-Authenticate: Basic realm="NTLM"', 'WWW-Authenticate: NTLMv2')).toBe(false);
    expect(tells('X: NTLM')).toBe(false);
  });
});
