// The codes of node 20 and 24, whose OpenSSL words some alerts differently; tls-options.test.ts has the handshakes.
import { describe, expect, it } from 'vitest';
import { failureOf, UNKNOWN_NAME } from '../../../src/listen/tls-result.ts';

const errorOf = (code: string, more: object = {}) => Object.assign(new Error('message'), { code, ...more });
const failed = (error: Error) => ({ error, named: true, strictSni: false, certificateError: null });

describe('a TLS handshake that failed', () => {
  it.each([
    ['ERR_SSL_HTTP_REQUEST', 'not_tls', 'http request'],
    ['ERR_SSL_HTTPS_PROXY_REQUEST', 'not_tls', 'https proxy request'],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'not_tls', 'wrong version number'],
    ['ERR_SSL_UNSUPPORTED_PROTOCOL', 'version', 'unsupported protocol'],
    ['ERR_SSL_INAPPROPRIATE_FALLBACK', 'version', 'inappropriate fallback'],
    ['ERR_SSL_NO_SHARED_CIPHER', 'no_shared_cipher', 'no shared cipher'],
    ['ERR_SSL_NO_SUITABLE_KEY_SHARE', 'no_shared_cipher', 'no suitable key share'],
    ['ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM', 'no_shared_cipher', 'no suitable signature algorithm'],
    ['ERR_SSL_NO_SUITABLE_GROUPS', 'no_shared_cipher', 'no suitable groups'],
    ['ERR_SSL_NO_APPLICATION_PROTOCOL', 'no_protocol', 'no application protocol'],
    ['ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE', 'client_certificate', 'peer did not return a certificate'],
    ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', 'alert', 'tlsv1 alert unknown ca'],
    ['ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_UNKNOWN', 'alert', 'ssl/tls alert certificate unknown'],
    ['ERR_SSL_LENGTH_MISMATCH', 'malformed', 'length mismatch'],
    ['ERR_TLS_HANDSHAKE_TIMEOUT', 'timeout', 'handshake timeout'],
    [UNKNOWN_NAME, 'unknown_name', 'message'],
  ])('%s is %s: %s', (code, result, detail) => {
    expect(failureOf(failed(errorOf(code)))).toEqual({ result, detail });
  });

  it('tells a reset from an end, which have one code', () => {
    const read = errorOf('ECONNRESET', { syscall: 'read' });
    expect(failureOf(failed(read))).toEqual({ result: 'reset', detail: 'econnreset' });
    expect(failureOf(failed(errorOf('ECONNRESET')))).toEqual({ result: 'closed', detail: 'the client ended it' });
  });

  it('has no cipher where a name is demanded and none is given', () => {
    const error = errorOf('ERR_SSL_NO_SHARED_CIPHER');
    const unnamed = { ...failed(error), named: false };
    expect(failureOf({ ...unnamed, strictSni: true }).result).toBe('unknown_name');
    expect(failureOf(unnamed).result).toBe('no_shared_cipher');
    expect(failureOf({ ...failed(error), strictSni: true }).result).toBe('no_shared_cipher');
  });

  it('says what is wrong with a certificate that node refused without an error of its own', () => {
    const refused = { ...failed(errorOf('ECONNRESET')), certificateError: 'DEPTH_ZERO_SELF_SIGNED_CERT' };
    expect(failureOf(refused)).toEqual({ result: 'client_certificate', detail: 'depth zero self signed cert' });
  });
});
