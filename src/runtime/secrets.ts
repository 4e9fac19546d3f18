// Secrets in files of their own, read into the config, so that their users need not know where they come from. A reload
// reads them anew.
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { readKeyText } from '../auth/key-text.ts';
import { isBcrypt, loadBcrypt } from '../auth/password.ts';
import { faultOfUser, readUsers } from '../auth/users.ts';
import type { ConfigPath, Problem } from '../config/problem.ts';
import { type AdminConfig, type Config, type RouteConfig, TOKEN } from '../config/schema/schema.ts';
import { systemCode } from '../errors.ts';

/** The config with its secrets, and what is wrong with their files. */
export interface WithSecrets {
  readonly config: Config;
  readonly problems: readonly Problem[];
}

/** Relative paths of the config are relative to `baseDir`. */
export async function readSecrets(config: Config, baseDir: string): Promise<WithSecrets> {
  const reader = new SecretReader(baseDir);
  const admin = await readToken(config.admin, reader);
  const routes: RouteConfig[] = [];
  for (const [index, route] of config.routes.entries()) {
    const path = ['routes', index];
    const withKeys = await readJwtKey(await readWebhookKey(route, path, reader), path, reader);
    routes.push(await readBasicUsers(withKeys, path, reader));
  }
  return { config: { ...config, admin, routes }, problems: reader.problems };
}

async function readToken(admin: AdminConfig, reader: SecretReader): Promise<AdminConfig> {
  if (admin.token_file === undefined) return admin;
  const token = await reader.read(admin.token_file, ['admin', 'token_file']);
  if (token !== null && !TOKEN.test(token)) {
    reader.report(['admin', 'token_file'], 'the file must hold 16 or more visible ASCII characters, without spaces');
  }
  return token === null ? admin : { ...admin, token };
}

async function readWebhookKey(route: RouteConfig, path: ConfigPath, reader: SecretReader): Promise<RouteConfig> {
  const { websocket } = route;
  if (websocket?.mode !== 'terminate' || websocket.webhook?.key_file === undefined) return route;
  const { webhook } = websocket;
  const key = await reader.read(websocket.webhook.key_file, [...path, 'websocket', 'webhook', 'key_file']);
  return key === null ? route : { ...route, websocket: { ...websocket, webhook: { ...webhook, key } } };
}

/** The key that tokens are verified with; it must fit the route's algorithms. */
async function readJwtKey(route: RouteConfig, path: ConfigPath, reader: SecretReader): Promise<RouteConfig> {
  const { auth } = route;
  if (auth?.jwt === undefined) return route;
  const { key_file, algorithms } = auth.jwt;
  const at = [...path, 'auth', 'jwt', key_file === undefined ? 'key' : 'key_file'];
  const key = key_file === undefined ? (auth.jwt.key ?? null) : await reader.read(key_file, at);
  if (key === null) return route;
  const keys = readKeyText(key, algorithms);
  if (typeof keys === 'string') reader.report(at, keys);
  return { ...route, auth: { ...auth, jwt: { ...auth.jwt, key } } };
}

/** Users and their hashes, all of which can be checked against. */
async function readBasicUsers(route: RouteConfig, path: ConfigPath, reader: SecretReader): Promise<RouteConfig> {
  const { auth } = route;
  if (auth?.basic === undefined) return route;
  const { users_file } = auth.basic;
  const at = [...path, 'auth', 'basic'];
  const users = users_file === undefined ? (auth.basic.users ?? {}) : await readUsersFile(users_file, at, reader);
  if (users_file === undefined) {
    for (const [name, hash] of Object.entries(users)) {
      const fault = faultOfUser(name, hash);
      if (fault !== null) reader.report([...at, 'users', name], fault);
    }
  }
  if (Object.values(users).some(isBcrypt) && (await loadBcrypt()) === null)
    reader.report(at, 'there are hashes of bcrypt, and the package "bcrypt" is not installed');
  return { ...route, auth: { ...auth, basic: { ...auth.basic, users } } };
}

async function readUsersFile(file: string, path: ConfigPath, reader: SecretReader): Promise<Record<string, string>> {
  const at = [...path, 'users_file'];
  const text = await reader.readWhole(file, at);
  const { hashes, faults } = readUsers(text ?? '');
  for (const { line, message } of faults) reader.report(at, `line ${line} of the file: ${message}`);
  return hashes;
}

class SecretReader {
  readonly problems: Problem[] = [];
  readonly #baseDir: string;

  constructor(baseDir: string) {
    this.#baseDir = baseDir;
  }

  /** The content of the file, trimmed; null where it is empty or can't be read, which is reported. */
  async read(file: string, path: ConfigPath): Promise<string | null> {
    return (await this.readWhole(file, path))?.trim() ?? null;
  }

  /** The same with all of its lines. */
  async readWhole(file: string, path: ConfigPath): Promise<string | null> {
    try {
      const text = await readFile(resolve(this.#baseDir, file), 'utf8');
      if (text.trim() !== '') return text;
      this.report(path, 'the file is empty');
    } catch (error) {
      const code = systemCode(error);
      if (code === undefined) throw error;
      this.report(path, code === 'ENOENT' ? 'there is no such file' : `the file cannot be read: ${code}`);
    }
    return null;
  }

  report(path: ConfigPath, message: string): void {
    this.problems.push({ severity: 'error', path, message });
  }
}
