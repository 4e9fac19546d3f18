// `upgate explain`: what the gateway would do with a request, and why, as lines for a person. The judgement is decide()'s
// own, told step by step; nothing is judged here. Pure.
import { type Client, readClient, type TrustedProxies, vouchedScheme } from '../http/forwarded.ts';
import type { RequestHead } from '../http/head.ts';
import { decide, type Step, type Verdict } from './decide.ts';
import type { Question } from './question.ts';
import type { RouteTable } from './table.ts';

/** What is known of an upstream; the config's own entries will do. */
export type UpstreamServers = Readonly<Record<string, { readonly servers: readonly { readonly url: string }[] }>>;

/** The answer to a question. */
export interface Explanation {
  /** Lines to print, without their line ends. */
  readonly lines: readonly string[];
  /** The status the client gets: 101 for a session; null where it is the backend's to say. */
  readonly status: number | null;
  /** The reason code of a refusal; null where the request is let in. */
  readonly reason: string | null;
}

/** Explains what becomes of a request. What only live state can say (limits, health, credentials) is left open. */
export function explain(
  table: RouteTable,
  question: Question,
  trusted: TrustedProxies,
  upstreams: UpstreamServers,
): Explanation {
  const head = vouchedScheme(question.head, trusted);
  const steps: Step[] = [];
  const verdict = decide(table, head, (step) => steps.push(step));
  const { line, status, reason } = formatOutcome(verdict, upstreams, readClient(head, trusted, ''));
  const lines = [formatRequest(head, trusted), ...steps.map(formatStep), ...formatLimits(verdict), line];
  return { lines, status, reason };
}

function formatRequest(head: RequestHead, trusted: TrustedProxies): string {
  const client = readClient(head, trusted, '');
  const via = client.viaTrusted ? ', a trusted proxy' : '';
  return `${head.method} ${head.target}, Host ${head.fields[1]}, ${head.secure ? 'TLS' : 'no TLS'}, from ${head.peer}${via}`;
}

function formatStep({ rule, passed, detail }: Step): string {
  return `  ${passed ? 'yes' : 'no '}  ${rule}: ${detail}`;
}

/** What is asked behind the decision; only live state says how it goes. */
function formatLimits(verdict: Verdict): string[] {
  if (verdict.kind === 'reject' || verdict.kind === 'respond') return [];
  const { handshakes, requests } = verdict.route.limits;
  const { before, after } = verdict.kind === 'forward' ? requests : handshakes;
  return [
    ...(before === '' ? [] : [`  if   within limits: ${before}`]),
    ...(after === '' ? [] : [`  if   there is room: ${after}`]),
  ];
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
