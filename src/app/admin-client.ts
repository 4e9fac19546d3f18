// Asks the admin API of the gateway that a config file is of: the address and the token are those of the file.
import http from 'node:http';
import { loadConfig } from '../config/load.ts';
import { formatProblem } from '../config/problem.ts';
import type { AdminConfig } from '../config/schema/schema.ts';
import type { Env } from '../config/yaml/env.ts';
import { systemCode } from '../errors.ts';
import { readSecrets } from '../runtime/secrets.ts';

/** What keeps a command from an answer, whole and for a person. */
export class AdminClientError extends Error {}

/** How long an answer may take. */
const ANSWER_MS = 10_000;
/** Bytes of an answer. */
const MAX_ANSWER = 16 * 1024 * 1024;

export class AdminClient {
  readonly #admin: AdminConfig;

  constructor(admin: AdminConfig) {
    this.#admin = admin;
  }

  /**
   * Of the config in this file; throws an AdminClientError where `admin` has errors, or nothing can be read. The gateway may be
   * running with an earlier content of the file: a mistake elsewhere in it, or a certificate that this user may not read, is no
   * reason not to ask.
   */
  static async of(file: string, env: Env): Promise<AdminClient> {
    const { partial, problems, locate, baseDir } = await loadConfig(file, env);
    if (partial === null) throw new AdminClientError(problems.map(formatProblem).join('\n'));
    const { config, problems: ofSecrets } = await readSecrets({ ...partial, routes: [] }, baseDir);
    const found = [...problems, ...ofSecrets.map(locate)].filter(
      ({ severity, path }) => severity === 'error' && path[0] === 'admin',
    );
    if (found.length > 0) throw new AdminClientError(found.map(formatProblem).join('\n'));
    return new AdminClient(config.admin);
  }

  /** The address, for a person. */
  get address(): string {
    return `http://${this.#admin.host}:${this.#admin.port}`;
  }

  /** A GET; throws an AdminClientError where there is no answer, or a refusal. */
  async read(path: string): Promise<unknown> {
    const { status, body } = await this.#get(path);
    const value = parse(body);
    if (status === 200 && value !== undefined) return value;
    const { reason, detail } = (value ?? {}) as { reason?: unknown; detail?: unknown };
    throw new AdminClientError(
      `${this.address}${path}: ${status}${reason === undefined ? '' : ` ${reason}: ${detail}`}`,
    );
  }

  /** The status of a GET that is answered within `ms`; throws an AdminClientError where it is not. */
  async statusOf(path: string, ms: number): Promise<number> {
    return (await this.#get(path, ms)).status;
  }

  #get(path: string, ms = ANSWER_MS): Promise<{ status: number; body: string }> {
    const { host, port, token } = this.#admin;
    const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` };
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => reject(new AdminClientError(`${this.address}${path}: ${describe(error)}`));
      const request = http.get({ host: reachable(host), port, path, headers, timeout: ms }, (answer) => {
        let body = '';
        answer.setEncoding('utf8');
        answer.on('data', (part: string) => {
          body += part;
          if (body.length > MAX_ANSWER) request.destroy(new Error('the answer is too large'));
        });
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body }));
        answer.on('error', fail);
      });
      request.on('timeout', () => request.destroy(new Error(`no answer within ${ms} ms`)));
      request.on('error', fail);
    });
  }
}

function describe(error: Error): string {
  if (systemCode(error) !== 'ECONNREFUSED') return error.message;
  return 'connection refused (ECONNREFUSED); is the gateway running, with this config?';
}

/** What listens on every address is reached on this machine's own. */
function reachable(host: string): string {
  return host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
