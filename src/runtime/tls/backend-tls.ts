// The TLS toward the servers of one upstream: the files that the config names are read and checked, and become one
// context for all connections.
import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import type { Problem } from '../../config/problem.ts';
import type { UpstreamConfig } from '../../config/schema/schema.ts';
import type { BackendTls } from '../../net/endpoint.ts';
import { fail, parseChain, parseKey, readPem, TlsConfigError } from './pem.ts';

type BackendTlsConfig = NonNullable<UpstreamConfig['tls']>;

/** Loads it, or returns all that is wrong; paths count from the `tls` block, relative files from `baseDir`. */
export async function loadBackendTls(
  config: BackendTlsConfig,
  baseDir: string,
): Promise<BackendTls | readonly Problem[]> {
  const problems: Problem[] = [];
  const load = async (key: 'ca' | 'cert' | 'key'): Promise<string | undefined> => {
    const file = config[key];
    if (file === undefined) return undefined;
    const path = resolve(baseDir, file);
    try {
      const pem = await readPem(path, [key]);
      if (key === 'key') parseKey(pem, path, [key]);
      else parseChain(pem, path, [key]);
      return pem;
    } catch (error) {
      if (!(error instanceof TlsConfigError)) throw error;
      problems.push(...error.problems);
      return undefined;
    }
  };
  const [ca, cert, key] = [await load('ca'), await load('cert'), await load('key')];
  if (problems.length > 0) return problems;
  const material = {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
  };
  const secureContext = tryContext(material);
  if (secureContext instanceof TlsConfigError) return secureContext.problems;
  const { server_name: serverName = null, verify } = config;
  const id = createHash('sha256')
    .update(JSON.stringify([material, serverName, verify]))
    .digest('hex');
  return { id, serverName, options: { secureContext, rejectUnauthorized: verify } };
}

function tryContext(material: SecureContextOptions): SecureContext | TlsConfigError {
  try {
    const { cert, key } = material;
    const [leaf] = cert === undefined ? [] : parseChain(String(cert), 'the file', ['cert']);
    if (leaf?.checkPrivateKey(parseKey(String(key), 'the file', ['key'])) === false) {
      return fail(['key'], 'the private key is not that of the first certificate in cert');
    }
    return createSecureContext({ ...material, minVersion: 'TLSv1.2' });
  } catch (error) {
    // OpenSSL's own policy, such as a key too small for its security level.
    const why = error instanceof Error ? error.message : String(error);
    return fail(['cert'], `TLS does not take this certificate: ${why}`);
  }
}
