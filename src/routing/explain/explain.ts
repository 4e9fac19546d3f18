// `upgate explain`: how the gateway would answer a request, and why, as lines of text. The verdict is that of decide(),
// printed step by step; this file decides nothing. Pure.
import { attribute, type Client, type TrustedProxies } from '../../http/forwarding/forwarded.ts';
import { type RequestHead, readRequest } from '../../http/head.ts';
import { type PresentedToken, type TokenSource, takeToken } from '../../http/token.ts';
import { decide, type Refuse, type TraceStep, type Verdict } from '../decide.ts';
import type { AuthRule } from '../route.ts';
import type { RouteTable } from '../table.ts';
import type { EffectiveLimit } from './effective-limits.ts';
import type { ExplainRequest } from './explain-request.ts';

/** The part of an upstream that an explanation needs; an entry of the config has it. */
export type UpstreamServers = Readonly<Record<string, { readonly servers: readonly { readonly url: string }[] }>>;

/** An explanation of one request. */
export interface Explanation {
  /** Lines to print, without their line ends. */
  readonly lines: readonly string[];
  /** The status that the client gets: 101 for a session; null if the backend decides. */
  readonly status: number | null;
  /** The reason code of a refusal; null where the request is admitted. */
  readonly reason: string | null;
  /** The credentials that the route needs; null if it needs none, or an earlier step refuses the request. */
  readonly credentials: { readonly route: string; readonly token: PresentedToken } | null;
}

/** The result of a check of the credentials. */
export interface Verified {
  /** Null: they are valid. */
  readonly refused: { readonly status: number; readonly reason: string } | null;
  readonly detail: string;
}

/** What an explanation needs besides the routes. */
export interface ExplainContext {
  readonly trusted: TrustedProxies;
  readonly upstreams: UpstreamServers;
  readonly verified?: Verified | null;
}

/** Explains the answer to a request. Checks that need live state (limits, health) are left open. Prints no token. */
export function explain(
  table: RouteTable,
  request: ExplainRequest,
  { trusted, upstreams, verified = null }: ExplainContext,
): Explanation {
  const { head, client } = attribute(request.head, trusted, () => '');
  const steps: TraceStep[] = [];
  const verdict = decide(table, head, client.address, (step) => steps.push(step));
  const { line, status, reason } = formatOutcome(verdict, upstreams, client);
  const lines = [formatRequest(head, targetShown(head, verdict), client), ...steps.map(formatStep)];
  const credentials =
    verdict.kind === 'reject' || !verdict.route?.auth ? null : { route: verdict.route.name, token: verdict.token };
  lines.push(...formatAccess(verdict, verified));
  if (credentials !== null && verified?.refused) {
    const refusal = `-> ${verified.refused.status} ${verified.refused.reason}: ${verified.detail}`;
    return { lines: [...lines, refusal], ...verified.refused, credentials };
  }
  return { lines: [...lines, line], status, reason, credentials };
}

/** The target without its token. */
function targetShown(head: RequestHead, { route }: Verdict): string {
  const rule = route?.auth?.token ?? null;
  const request = readRequest(head);
  return rule === null || 'fault' in request ? head.target : takeToken(rule, request).request.target.raw;
}

/** The steps of pipeline/access.ts, in its order. */
export function formatAccess(verdict: Verdict, verified: Verified | null): string[] {
  if (verdict.kind === 'reject') return [];
  const { before, after } = limitsOf(verdict);
  const auth = verdict.route?.auth ?? null;
  const lines: string[] = [];
  if (before !== '') lines.push(`  ?    limits: ${before}`);
  if (auth !== null) {
    const outcome = verified?.detail ?? (auth.kind === 'jwt' ? 'not looked at: --token shows one' : 'not looked at');
    const mark = verified === null ? '?  ' : verified.refused === null ? 'yes' : 'no ';
    lines.push(`  ${mark}  auth: ${outcome} (${formatAuth(auth)})`);
  }
  if (after !== '') lines.push(`  ?    limits: ${after}`);
  return lines;
}

/** The gateway's own answers count toward no limit. */
function limitsOf(verdict: Exclude<Verdict, Refuse>): EffectiveLimit {
  if (verdict.kind === 'respond') return { before: '', after: '' };
  const { handshakes, requests } = verdict.route.limits;
  return verdict.kind === 'forward' ? requests : handshakes;
}

function formatAuth({ kind, token }: AuthRule): string {
  return token === null ? kind : `${kind} from ${token.from.map(formatSource).join(', ')}`;
}

function formatSource(place: TokenSource): string {
  if (place.kind === 'header') return 'header';
  return place.kind === 'subprotocol' ? `subprotocol ${place.prefix}…` : `${place.kind} ${place.name}`;
}

function formatRequest(head: RequestHead, target: string, client: Client): string {
  const speaksFor = client.address === head.peer ? '' : ` that speaks for ${client.address}`;
  const via = client.viaTrusted ? `, a trusted proxy${speaksFor}` : '';
  return `${head.method} ${target}, Host ${head.fields[1]}, ${head.secure ? 'TLS' : 'no TLS'}, from ${head.peer || 'a unix socket'}${via}`;
}

function formatStep({ rule, passed, detail }: TraceStep): string {
  return `  ${passed ? 'yes' : 'no '}  ${rule}: ${detail}`;
}

/** A verdict as the line that ends an explanation. */
export function formatOutcome(
  verdict: Verdict,
  upstreams: UpstreamServers,
  client: Client,
): { line: string; status: number | null; reason: string | null } {
  if (verdict.kind === 'reject') {
    const { status, reason, detail } = verdict.rejection;
    return { line: `-> ${status} ${reason}: ${detail}`, status, reason };
  }
  if (verdict.kind === 'respond') {
    const { status } = verdict;
    const [name, value] = verdict.fields(client, null);
    const location = name === 'Location' ? ` to ${value}` : '';
    return { line: `-> ${status}${location}, answered by the gateway itself`, status, reason: null };
  }
  if (verdict.kind === 'forward') {
    const upstream = formatUpstream(verdict.route.http.upstream, upstreams);
    const moved = verdict.sent.target === verdict.request.target.raw ? '' : ` as ${verdict.sent.target}`;
    return { line: `-> forwarded to upstream ${upstream}${moved}`, status: null, reason: null };
  }
  const { config } = verdict.route.websocket;
  const line =
    config.mode === 'splice'
      ? `-> 101 if the backend agrees: splice to upstream ${formatUpstream(config.upstream, upstreams)}`
      : `-> 101, terminated here by handler ${config.handler}`;
  return { line, status: 101, reason: null };
}

function formatUpstream(name: string, upstreams: UpstreamServers): string {
  const urls = upstreams[name]?.servers.map(({ url }) => url);
  return urls === undefined ? name : `${name} (${urls.join(', ')})`;
}
