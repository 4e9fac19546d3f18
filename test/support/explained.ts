// What a config says of itself in comments: `#   upgate explain URL [options]  -> what it prints last`.
import { parseArgs } from 'node:util';
import { compileTrustedProxies } from '../../src/http/forwarding/forwarded.ts';
import { explain } from '../../src/routing/explain/explain.ts';
import { parseExplainRequest } from '../../src/routing/explain/explain-request.ts';
import type { Prepared } from '../../src/runtime/prepare.ts';

export interface Explained {
  /** As it stands behind `explain`. */
  readonly question: string;
  /** How the last line of the answer begins, behind its arrow. */
  readonly answer: string;
}

/** The questions in a config's comments, in their order. */
export function explanationsIn(text: string): Explained[] {
  return [...text.matchAll(/^# +upgate explain (.+?) +-> (.+)$/gm)].map(([, question = '', answer = '']) => ({
    question,
    answer,
  }));
}

/** What `upgate explain` prints last, behind the arrow. */
export function answerTo(question: string, { config, table }: Prepared): string {
  const words = [...question.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
  const option = { type: 'string' } as const;
  const { values, positionals } = parseArgs({
    args: words,
    allowPositionals: true,
    options: { origin: option, protocol: option, from: option, version: option },
  });
  const request = parseExplainRequest(positionals[0] ?? '', values);
  if (typeof request === 'string') throw new Error(request);
  const trusted = compileTrustedProxies(config.trusted_proxies, config.http.believe);
  const { lines } = explain(table, request, { trusted, upstreams: config.upstreams, verified: null });
  return (lines.at(-1) ?? '').replace(/^-> /, '');
}
