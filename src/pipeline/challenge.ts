// Requests of an authority that wants to see that a name is ours (ACME, RFC 8555 §8.3). They are answered before any route is
// looked for: a redirect to https, or a login, is no answer to one.
import { completed } from '../actions/forward.ts';
import type { Plain } from '../actions/reject.ts';
import { background } from '../base/guard.ts';
import type { Incoming } from './incoming.ts';

/** The text that proves a challenge, by its token as a request has it; null: none of that name is open. */
export type ChallengeText = (token: string) => string | null | Promise<string | null>;

const PREFIX = '/.well-known/acme-challenge/';

/** Whether it is worth asking: every request is looked at. */
export function mayAskForChallenge({ head: { method, target } }: Incoming): boolean {
  return target.startsWith(PREFIX) && (method === 'GET' || method === 'HEAD');
}

/** Answers a request for a challenge that is open; calls `otherwise` where there is none of that name. */
export function answerChallenge(textFor: ChallengeText, incoming: Incoming, plain: Plain, otherwise: () => void): void {
  const settle = (text: string | null): void => (text === null ? otherwise() : answer(text, incoming, plain));
  const found = textFor(incoming.head.target.slice(PREFIX.length));
  if (found instanceof Promise) background('request', found.then(settle), () => plain.response.cut());
  else settle(found);
}

function answer(text: string, { context }: Incoming, plain: Plain): void {
  const { request, response } = plain;
  const body = Buffer.from(text, 'latin1');
  if (request.hasBody) response.closeAfter();
  if (!response.closed) {
    const fields = ['Content-Type', 'application/octet-stream', 'Content-Length', String(body.length)];
    response.answer({ status: 200, phrase: null, fields, framing: 'length' }, body);
  }
  completed(context, plain, { at: null, reason: null, detail: 'a challenge of ACME' });
}
