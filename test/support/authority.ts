// A certificate authority for tests, made by openssl: a root, and certificates that it signs.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Issued {
  /** Paths. */
  readonly files: { readonly cert: string; readonly key: string };
  readonly cert: string;
  readonly key: string;
}

export interface Authority {
  readonly dir: string;
  /** The root's certificate. */
  readonly file: string;
  readonly pem: string;
  /** A certificate for these DNS names or `IP:` addresses. */
  issue(label: string, ...names: string[]): Issued;
  /** The path of an OCSP response for one, good unless it is to be revoked, for so many days. */
  staple(issued: Issued, options?: { days?: number; revoked?: boolean }): string;
  /** The path of a list of revoked certificates that holds these. */
  revoke(...revoked: readonly Issued[]): string;
  remove(): void;
}

const openssl = (...args: string[]) => void execFileSync('openssl', args, { stdio: 'pipe' });
const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

export function makeAuthority(): Authority {
  const dir = mkdtempSync(join(tmpdir(), 'upgate-ca-'));
  const at = (name: string) => join(dir, name);
  openssl('req', '-x509', ...EC, '-keyout', at('ca.key'), '-out', at('ca.crt'), '-days', '2', '-subj', '/CN=Test CA');
  return {
    dir,
    file: at('ca.crt'),
    pem: readFileSync(at('ca.crt'), 'utf8'),
    issue(label, ...names) {
      const files = { cert: at(`${label}.crt`), key: at(`${label}.key`) };
      const san = names.map((name) => (name.startsWith('IP:') ? name : `DNS:${name}`)).join(',');
      writeFileSync(at(`${label}.ext`), `subjectAltName=${san}\n`);
      openssl('req', ...EC, '-keyout', files.key, '-out', at(`${label}.csr`), '-subj', `/CN=${label}`);
      const signing = ['-CA', at('ca.crt'), '-CAkey', at('ca.key'), '-CAcreateserial', '-days', '2'];
      openssl(
        'x509',
        '-req',
        '-in',
        at(`${label}.csr`),
        ...signing,
        '-out',
        files.cert,
        '-extfile',
        at(`${label}.ext`),
      );
      return { files, cert: readFileSync(files.cert, 'utf8'), key: readFileSync(files.key, 'utf8') };
    },
    staple(issued, { days = 2, revoked = false } = {}) {
      const [index, config, response] = [at('ocsp.txt'), at('ocsp.cnf'), issued.files.cert.replace(/crt$/, 'ocsp')];
      writeFileSync(index, '');
      writeFileSync(config, `[ca]\ndefault_ca=own\n[own]\ndatabase=${index}\ndefault_md=sha256\n`);
      const ca = ['-config', config, '-keyfile', at('ca.key'), '-cert', at('ca.crt')];
      openssl('ca', ...ca, revoked ? '-revoke' : '-valid', issued.files.cert);
      const signer = [
        '-index',
        index,
        '-rsigner',
        at('ca.crt'),
        '-rkey',
        at('ca.key'),
        '-CA',
        at('ca.crt'),
        '-noverify',
      ];
      const about = ['-issuer', at('ca.crt'), '-cert', issued.files.cert, '-ndays', String(days)];
      openssl('ocsp', ...signer, ...about, '-respout', response);
      return response;
    },
    revoke(...revoked) {
      const [index, config, crl] = [at('index.txt'), at('ca.cnf'), at('ca.crl')];
      writeFileSync(index, '');
      writeFileSync(config, `[ca]\ndefault_ca=own\n[own]\ndatabase=${index}\ndefault_md=sha256\ndefault_crl_days=2\n`);
      const ca = ['-config', config, '-keyfile', at('ca.key'), '-cert', at('ca.crt')];
      for (const { files } of revoked) openssl('ca', ...ca, '-revoke', files.cert);
      openssl('ca', ...ca, '-gencrl', '-out', crl);
      return crl;
    },
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}
