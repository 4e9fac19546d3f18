// `upstream` blocks of nginx, and the servers that `proxy_pass` names by itself, as upstreams.
import { type DraftPart, NamesGiven, type Value } from './draft.ts';
import type { Directive } from './nginx-syntax.ts';

/** Where a `proxy_pass` leads. */
export interface ProxyPass {
  readonly upstream: string;
  /** What stands behind the address; empty where nothing does. */
  readonly path: string;
}

interface Entry {
  readonly name: string;
  readonly remarks: string[];
  readonly value: { [key: string]: Value | undefined };
  readonly hosts: readonly Value[];
  /** Both kinds may ask for the same block. */
  secure: boolean;
}

const IGNORED = new Set(['keepalive', 'keepalive_timeout', 'keepalive_requests', 'keepalive_time', 'zone']);

export class NginxUpstreams {
  readonly #names = new NamesGiven();
  readonly #byName = new Map<string, Entry>();
  /** Those of blocks nobody asks for are not written. */
  readonly #used = new Map<string, Entry>();

  constructor(blocks: readonly Directive[]) {
    for (const { args, block } of blocks) {
      const [name = 'upstream'] = args;
      this.#byName.set(name, blockOf(this.#names.take(name), block ?? []));
    }
  }

  /** Null where its address holds a variable, or is none. `options` is what the location says of TLS to its servers. */
  resolve(target: string, options: { readonly [key: string]: Value | undefined }): ProxyPass | null {
    const [, scheme, address, path = ''] =
      /^(https?):\/\/(unix:[^:]+(?=:|$)|[^/:$]+(?::\d+)?|\[[^\]]+\](?::\d+)?):?(\/[^$]*)?$/.exec(target) ?? [];
    if (scheme === undefined || address === undefined) return null;
    const entry = this.#byName.get(address) ?? this.#alone(address, scheme);
    entry.secure ||= scheme === 'https';
    if (Object.keys(options).length > 0) entry.value['tls'] = options;
    this.#used.set(entry.name, entry);
    return { upstream: entry.name, path };
  }

  parts(): Map<string, DraftPart> {
    return new Map(
      [...this.#used].map(([name, { remarks, value, hosts, secure }]) => [
        name,
        { remarks, value: { servers: hosts.map((host) => (secure ? overTls(host) : host)), ...value } },
      ]),
    );
  }

  #alone(address: string, scheme: string): Entry {
    const name = this.#names.take(address.replace(/^unix:/, ''));
    const withPort = scheme === 'https' && !/:\d+$/.test(address) ? `${address}:443` : address;
    const entry: Entry = { name, remarks: [], value: {}, hosts: [urlOf(withPort)], secure: false };
    this.#byName.set(address, entry);
    return entry;
  }
}

function blockOf(name: string, block: readonly Directive[]): Entry {
  const remarks: string[] = [];
  const value: Entry['value'] = {};
  const hosts: Value[] = [];
  for (const { name: word, args, line } of block) {
    if (word === 'server') hosts.push(...serverOf(args, remarks));
    else if (IGNORED.has(word)) continue;
    else if (word === 'least_conn') value['balance'] = 'least_connections';
    else if (word === 'ip_hash') value['balance'] = 'hash';
    else if (word === 'random') value['balance'] = 'random_two';
    else if (word === 'hash' && hashOf(args[0]) !== null) value['balance'] = hashOf(args[0]) as Value;
    else remarks.push(`line ${line}: ${[word, ...args].join(' ')} is not carried`);
  }
  return { name, remarks, value, hosts, secure: false };
}

/** None where it is marked down. */
function serverOf([address = '', ...options]: readonly string[], remarks: string[]): Value[] {
  const of = (name: string): string | undefined =>
    options.find((option) => option.startsWith(`${name}=`))?.slice(name.length + 1);
  if (options.includes('down')) {
    remarks.push(`server ${address} is marked down and left out`);
    return [];
  }
  const unknown = options.filter((option) => !/^(?:weight|max_conns|max_fails|fail_timeout)=|^backup$/.test(option));
  if (unknown.length > 0) remarks.push(`server ${address}: ${unknown.join(' ')} is not carried`);
  const [weight, most] = [of('weight'), of('max_conns')];
  const backup = options.includes('backup') ? true : undefined;
  if (weight === undefined && most === undefined && backup === undefined) return [urlOf(address)];
  return [
    {
      url: urlOf(address),
      weight: weight === undefined ? undefined : Math.min(1000, Number(weight)),
      max_connections: most === undefined || most === '0' ? undefined : Number(most),
      backup,
    },
  ];
}

function urlOf(address: string): string {
  if (address.startsWith('unix:')) return address;
  return `http://${address}`;
}

function overTls(server: Value): Value {
  if (typeof server === 'string') return server.replace(/^http:/, 'https:');
  return { ...(server as object), url: String((server as { url: Value }).url).replace(/^http:/, 'https:') };
}

function hashOf(key: string | undefined): Value | null {
  if (key === '$remote_addr' || key === '$binary_remote_addr') return 'hash';
  const [, kind, name] = /^\$(http|cookie|arg)_(\w+)$/.exec(key ?? '') ?? [];
  if (name === undefined) return null;
  if (kind === 'cookie') return { hash: { cookie: name } };
  return kind === 'arg' ? { hash: { query: name } } : { hash: { header: name.replaceAll('_', '-') } };
}
