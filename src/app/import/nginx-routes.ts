// A location of nginx as a route: where its requests go, and what is changed on their way.
import { type DraftPart, type NamesGiven, prefixPaths, SHUT, type Value } from './draft.ts';
import { authOf } from './nginx-auth.ts';
import type { Directive } from './nginx-syntax.ts';
import type { NginxUpstreams } from './nginx-upstreams.ts';

export interface Location {
  /** Undefined: any. */
  readonly hosts: readonly string[] | undefined;
  readonly scheme: 'http' | 'https' | undefined;
  /** The modifier, if any, and the path. */
  readonly args: readonly string[];
  /** Its directives, and those it takes from outside. */
  readonly settings: readonly Directive[];
  readonly remarks: readonly string[];
  readonly line: number;
}

type Fields = { [name: string]: Value };

/** What the gateway says to backends by itself. */
const OWN_FIELDS = new Set(
  'upgrade connection x-real-ip x-forwarded-for x-forwarded-proto x-forwarded-host x-request-id'.split(' '),
);

/** The route of a location, with remarks on what can't be carried over. */
export function routeOf(location: Location, upstreams: NginxUpstreams, names: NamesGiven): DraftPart {
  const { hosts, scheme, args, settings, line } = location;
  const remarks = [...location.remarks];
  const [modifier, path] = args.length > 1 ? [args[0], args[1] ?? '/'] : [undefined, args[0] ?? '/'];
  const name = names.take(`${hosts?.[0]?.replace('*.', '') ?? ''}${path === '/' ? '-all' : path.replaceAll('/', '-')}`);
  const paths = pathsOf(modifier, path);
  if (paths === null)
    remarks.push(`line ${line}: location ${args.join(' ')} is no exact path and no prefix: say what it takes`);
  else if (modifier === undefined && paths.length > 1)
    remarks.push(`nginx's location ${path} takes paths such as ${path}x as well; this one does not`);
  const match = { host: one(hosts), path: one(paths ?? [`/line-${line}`]), scheme };
  const answer = settings.find((each) => each.name === 'return');
  const access = accessOf(settings, remarks);
  if (answer !== undefined) return { remarks, value: { name, match, ...access, ...returned(answer, remarks) } };
  const auth = authOf(settings, remarks);
  if (auth === null) return { remarks, value: { name, match, ...access, respond: SHUT } };
  const pass = settings.find((each) => each.name === 'proxy_pass')?.args[0];
  const to = pass === undefined ? null : upstreams.resolve(pass, tlsOf(settings));
  if (to === null) {
    remarks.push(
      pass === undefined ? 'it has no proxy_pass: the gateway serves no files' : `proxy_pass ${pass} is not carried`,
    );
    return { remarks, value: { name, match, respond: { status: 501, body: 'not carried over' } } };
  }
  const timeouts = timeoutsOf(settings);
  const fields = fieldsOf(settings, remarks);
  if (fields.upgrades) remarks.push('nginx asks for no Origin; list the pages that may connect in place of `any`');
  const rewrite = { ...rewriteOf(modifier, to.path), host: fields.host };
  return {
    remarks,
    value: {
      name,
      match,
      ...access,
      auth,
      websocket: fields.upgrades
        ? { mode: 'splice', upstream: to.upstream, origins: 'any', timeouts: timeouts.websocket }
        : undefined,
      http: { upstream: to.upstream, max_body: maxBody(settings), timeouts: timeouts.http },
      rewrite: Object.values(rewrite).some((value) => value !== undefined) ? rewrite : undefined,
      headers: fields.headers,
    },
  };
}

/** Null where it is a regular expression, or has a name only. */
function pathsOf(modifier: string | undefined, path: string): string[] | null {
  if (modifier === '=') return [path];
  if (modifier === '~' || modifier === '~*' || path.startsWith('@')) return null;
  return path === '/' ? ['/*'] : prefixPaths(path);
}

function one(values: readonly string[] | undefined): Value | undefined {
  return values?.length === 1 ? values[0] : values;
}

function rewriteOf(modifier: string | undefined, path: string): { [key: string]: Value | undefined } {
  if (path === '') return {};
  if (modifier === '=') return { path };
  return { prefix: path === '/' ? '/' : path.replace(/\/$/, '') };
}

/** `return` as an answer or a redirect. */
function returned({ args, line }: Directive, remarks: string[]): { [key: string]: Value | undefined } {
  const [first = ''] = args;
  const [status, text] = /^\d{3}$/.test(first) ? [Number(first), args[1]] : [302, first];
  if (status >= 300 && status < 400 && text !== undefined) {
    const redirect = redirectOf(status, text);
    if (redirect !== null) return { redirect };
    remarks.push(`line ${line}: return ${args.join(' ')} is not carried`);
    return { respond: { status: 501, body: 'not carried over' } };
  }
  const sent = status >= 200 && status <= 599;
  if (!sent) remarks.push(`line ${line}: return ${status} closes the connection in nginx`);
  if (text?.includes('$')) remarks.push(`line ${line}: the variables of the text are not carried`);
  return { respond: { status: sent ? status : 404, body: text } };
}

const REDIRECT =
  /^(?:(https?|\$scheme):\/\/(\$host|\$http_host|\$server_name|[^/:$]+)(?::(\d+))?)?(\$request_uri|\/[^$]*)?$/;

/** Null where it holds other variables. */
function redirectOf(status: number, text: string): Value | null {
  const [whole, scheme, host, port, path] = REDIRECT.exec(text) ?? [];
  if (whole === undefined) return null;
  return {
    status: [301, 302, 303, 307, 308].includes(status) ? status : 302,
    scheme: scheme === '$scheme' ? undefined : scheme,
    host: host?.startsWith('$') ? undefined : host,
    port: port === undefined ? undefined : Number(port),
    path: path === '$request_uri' ? undefined : path,
  };
}

function accessOf(settings: readonly Directive[], remarks: string[]): { [key: string]: Value | undefined } {
  const of = (name: string): string[] => settings.filter((each) => each.name === name).flatMap(({ args }) => args);
  const [allow, deny] = [of('allow').filter((entry) => entry !== 'all'), of('deny').filter((entry) => entry !== 'all')];
  if (allow.length > 0 && !of('deny').includes('all')) remarks.push('with `allow` nobody else is admitted here');
  const unix = (entry: string): string => (entry === 'unix:' ? 'unix' : entry);
  return {
    deny: deny.length === 0 ? undefined : deny.map(unix),
    allow: allow.length === 0 ? undefined : allow.map(unix),
  };
}

function timeoutsOf(settings: readonly Directive[]): { websocket: Value | undefined; http: Value | undefined } {
  const of = (name: string): string | undefined => durationOf(settings.find((each) => each.name === name)?.args[0]);
  const [connect, read] = [of('proxy_connect_timeout'), of('proxy_read_timeout')];
  const any = connect !== undefined || read !== undefined;
  return {
    websocket: any ? { connect, idle: read } : undefined,
    http: any ? { connect, head: read, idle: read } : undefined,
  };
}

/** As nginx writes a time: `3600`, `60s`, `1h`, `7d`. */
function durationOf(text: string | undefined): string | undefined {
  const [, number, unit = 's'] = /^(\d+)(ms|s|m|h|d)?$/.exec(text ?? '') ?? [];
  if (number === undefined) return undefined;
  const hours = unit === 'd' ? Number(number) * 24 : null;
  // Times are bounded: the longest timer lasts for 24 days.
  if (hours !== null) return `${Math.min(hours, 596)}h`;
  return unit === 's' && Number(number) > 2_000_000 ? '596h' : `${number}${unit}`;
}

function maxBody(settings: readonly Directive[]): string | undefined {
  const [, number, unit = ''] =
    /^(\d+)([kmg]?)$/i.exec(settings.find(({ name }) => name === 'client_max_body_size')?.args[0] ?? '') ?? [];
  if (number === undefined || number === '0') return undefined;
  return `${number}${{ k: 'KiB', m: 'MiB', g: 'GiB' }[unit.toLowerCase()] ?? 'B'}`;
}

interface FoundFields {
  readonly upgrades: boolean;
  /** What backends get as Host where it is not the client's. */
  readonly host: string | undefined;
  readonly headers: Value | undefined;
}

function fieldsOf(settings: readonly Directive[], remarks: string[]): FoundFields {
  const request: Fields = {};
  const response: Fields = {};
  let upgrades = false;
  // Without a word nginx sends the name that proxy_pass has.
  let host: string | undefined = 'upstream';
  for (const { name, args, line } of settings) {
    const [field = '', value = ''] = args;
    if (name === 'add_header') {
      if (value.includes('$')) remarks.push(`line ${line}: add_header ${args.join(' ')} is not carried`);
      else response[field] = literal(value);
    }
    if (name !== 'proxy_set_header') continue;
    const lower = field.toLowerCase();
    if (lower === 'upgrade') upgrades = true;
    else if (lower === 'host') host = hostFor(value);
    else if (OWN_FIELDS.has(lower)) continue;
    else if (value.includes('$')) remarks.push(`line ${line}: proxy_set_header ${args.join(' ')} is not carried`);
    else request[field] = literal(value);
  }
  const headers = {
    request: Object.keys(request).length === 0 ? undefined : { set: request },
    response: Object.keys(response).length === 0 ? undefined : { set: response },
  };
  const any = headers.request !== undefined || headers.response !== undefined;
  return { upgrades, host, headers: any ? headers : undefined };
}

function hostFor(value: string): string | undefined {
  if (/^\$(?:host|http_host)(?::\$server_port)?$/.test(value)) return undefined;
  return value.includes('$') ? 'upstream' : value;
}

/** Braces would be variables. */
function literal(value: string): string {
  return value.replaceAll('{', '{{').replaceAll('}', '}}');
}

function tlsOf(settings: readonly Directive[]): { [key: string]: Value | undefined } {
  const of = (name: string): string | undefined => settings.find((each) => each.name === name)?.args[0];
  const verify = of('proxy_ssl_verify');
  const pass = of('proxy_pass');
  if (pass === undefined || !pass.startsWith('https:')) return {};
  const name = of('proxy_ssl_name');
  const ca = of('proxy_ssl_trusted_certificate');
  return {
    // nginx verifies nothing unless it is told to.
    ...(verify === 'on' ? {} : { verify: false }),
    ...(ca === undefined ? {} : { ca }),
    ...(name === undefined || name.includes('$') ? {} : { server_name: name }),
  };
}
