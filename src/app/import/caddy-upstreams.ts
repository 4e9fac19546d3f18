// `reverse_proxy` of a Caddyfile as upstreams: its servers, how one is picked, and how they are checked.
import { lookupTable } from '../../base/lookup-table.ts';
import type { CaddyLine } from './caddy-syntax.ts';
import { type DraftPart, NamesGiven, type Value } from './draft.ts';

export interface ProxiedTo {
  readonly upstream: string;
  /** What changes fields. */
  readonly fields: readonly CaddyLine[];
}

const BALANCES: Readonly<Record<string, Value>> = lookupTable({
  round_robin: 'round_robin',
  least_conn: 'least_connections',
  random: 'random_two',
  random_choose: 'random_two',
  ip_hash: 'hash',
  client_ip_hash: 'hash',
});
const DURATION = /^\d+(?:ms|s|m|h)$/;

export class CaddyUpstreams {
  readonly #names = new NamesGiven();
  /** By what they are, so that two proxies to the same servers share one. */
  readonly #known = new Map<string, { name: string; part: DraftPart }>();

  /** Null where it names no server. */
  add({ words, block: inner }: CaddyLine, remarks: string[]): ProxiedTo | null {
    const block = inner ?? [];
    const servers = [...words, ...block.flatMap((each) => (each.words[0] === 'to' ? each.words.slice(1) : []))];
    const urls = servers.map(urlOf);
    const odd = servers.find((_, i) => urls[i] === null);
    if (odd !== undefined) remarks.push(`reverse_proxy ${odd} is not carried`);
    const found = urls.filter((url) => url !== null);
    if (found.length === 0) return null;
    const about: string[] = [];
    const options = optionsOf(block, about);
    const secure = options.secure || found.some((url) => url.startsWith('https:'));
    const list = found.map((url) => (secure ? url.replace(/^http:/, 'https:') : url));
    const value = { servers: list, ...options.value };
    const key = JSON.stringify(value);
    const known = this.#known.get(key);
    const name = known?.name ?? this.#names.take(list[0]?.replace(/^\w+:\/\/|^unix:/, '') ?? 'upstream');
    if (known === undefined) this.#known.set(key, { name, part: { remarks: about, value } });
    return { upstream: name, fields: block.filter(({ words: [word = ''] }) => word.startsWith('header_')) };
  }

  parts(): Map<string, DraftPart> {
    return new Map([...this.#known.values()].map(({ name, part }) => [name, part]));
  }
}

function urlOf(address: string): string | null {
  const [, unix] = /^unix\/+(.+)$/.exec(address) ?? [];
  if (unix !== undefined) return `unix:/${unix}`;
  const [whole, scheme = 'http', host, port] =
    /^(?:(https?|h2c):\/\/)?([\w.-]*|\[[0-9a-f:]+\])(?::(\d+))?$/i.exec(address) ?? [];
  if (whole === undefined || whole === '' || scheme === 'h2c') return null;
  const name = host === '' ? 'localhost' : host;
  const at = port ?? (scheme === 'https' ? '443' : '80');
  return `${scheme}://${name}:${at}`;
}

interface Options {
  readonly value: { [key: string]: Value | undefined };
  secure: boolean;
  readonly active: { [key: string]: Value };
}

/** Takes a line in; false where it can't. */
type Option = (args: readonly string[], options: Options, line: CaddyLine) => boolean;

const WITHOUT_MEANING: Option = () => true;

const OPTIONS: Readonly<Record<string, Option>> = lookupTable({
  to: WITHOUT_MEANING,
  header_up: WITHOUT_MEANING,
  header_down: WITHOUT_MEANING,
  flush_interval: WITHOUT_MEANING,
  lb_policy: ([policy = '', name], { value }) => {
    if (policy === 'cookie') value['sticky'] = name === undefined ? {} : { cookie: name };
    else if (policy === 'header' || policy === 'query') value['balance'] = { hash: { [policy]: name ?? '' } };
    else if (BALANCES[policy] !== undefined) value['balance'] = BALANCES[policy];
    else return false;
    return true;
  },
  health_uri: ([path = '/'], { active }) => {
    Object.assign(active, { type: 'http', path });
    return true;
  },
  health_interval: durationOption('every'),
  health_timeout: durationOption('timeout'),
  health_status: ([status = ''], { active }) => {
    if (!/^\d{3}$/.test(status)) return false;
    active['status'] = [Number(status)];
    return true;
  },
  transport: ([protocol], options, { block }) => {
    if (protocol !== 'http') return false;
    return (block ?? []).every(({ words: [word = '', text = ''] }) => takesTransport(word, text, options));
  },
});

function durationOption(key: string): Option {
  return ([text = ''], { active }) => {
    if (!DURATION.test(text)) return false;
    active[key] = text;
    return true;
  };
}

const TLS_OPTIONS: Readonly<Record<string, (text: string) => { [key: string]: Value }>> = {
  tls: () => ({}),
  tls_insecure_skip_verify: () => ({ verify: false }),
  tls_server_name: (text) => ({ server_name: text }),
  tls_trusted_ca_certs: (text) => ({ ca: text }),
};

function takesTransport(word: string, text: string, options: Options): boolean {
  const option = Object.hasOwn(TLS_OPTIONS, word) ? TLS_OPTIONS[word] : undefined;
  if (option === undefined) return false;
  options.secure = true;
  const more = option(text);
  if (Object.keys(more).length > 0) options.value['tls'] = { ...(options.value['tls'] as object | undefined), ...more };
  return true;
}

function optionsOf(block: readonly CaddyLine[], remarks: string[]): Options {
  const options: Options = { value: {}, active: {}, secure: false };
  for (const each of block) {
    const [word = '', ...args] = each.words;
    const option = Object.hasOwn(OPTIONS, word) ? OPTIONS[word] : undefined;
    if (option?.(args, options, each) !== true)
      remarks.push(`line ${each.line}: ${each.words.join(' ')} is not carried${each.block === null ? '' : ' whole'}`);
  }
  if (options.active['type'] !== undefined) options.value['health'] = { active: options.active };
  return options;
}
