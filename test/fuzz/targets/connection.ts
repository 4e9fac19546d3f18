// What a client sends, piece by piece, to a connection of our server. The first octet says where it is cut. However it is: the
// same requests are served with the same bodies, each where llhttp finds one, and each gets one answer or the connection ends.
import { isDeepStrictEqual } from 'node:util';
import { serveAll } from '../../support/http1.ts';
import { octetsOf } from '../../support/requests.ts';
import { checkRequests } from '../../support/requests-oracle.ts';
import { promise, type Target } from '../target.ts';
import { request } from './request.ts';

/** What was served, and how it went on. */
function outcomeOf(pieces: readonly Buffer[]) {
  const { requests, socket, refusals, upgrades, statuses } = serveAll(pieces);
  return {
    requests,
    upgrades,
    statuses: statuses(),
    refusals: refusals.map(({ detail }) => detail),
    ended: socket.ended,
  };
}

export const connection: Target = {
  ...request,
  name: 'connection',
  words: [
    ...request.words,
    'Connection: Upgrade\r\nUpgrade: h2c\r\n',
    'CONNECT a:1 HTTP/1.1\r\n',
    'trace / HTTP/1.1\r\n',
  ],
  open: () => ({
    close() {},
    check(input) {
      const bytes = input.subarray(1);
      const cut = Math.min(input[0] ?? 0, bytes.length);
      const whole = outcomeOf([bytes]);
      for (const pieces of [octetsOf(bytes), [bytes.subarray(0, cut), bytes.subarray(cut)]]) {
        const cutUp = outcomeOf(pieces);
        // What came behind the head of an upgrade comes behind it in pieces, too; nobody reads it here.
        const same = {
          ...cutUp,
          upgrades: cutUp.upgrades.map((one, i) => ({ ...one, rest: whole.upgrades[i]?.rest })),
        };
        promise(isDeepStrictEqual(same, whole), `in pieces: ${JSON.stringify(cutUp)} is not ${JSON.stringify(whole)}`);
      }
      const { requests, end } = checkRequests(bytes);
      const plain = whole.requests.filter(({ complete }) => complete);
      // An upgrade that is dropped is the last request for llhttp, and an ordinary one here.
      const read = requests.filter(({ complete }) => complete).slice(0, plain.length);
      promise(isDeepStrictEqual(plain.slice(0, read.length), read), 'what is served is not what was read');
      promise(read.length === plain.length || end === 'over', `${plain.length} are served of ${read.length}`);
      const answers = whole.statuses.filter((status) => status === 200).length;
      promise(answers === plain.length, `${answers} answers for ${plain.length} requests`);
      promise(whole.refusals.length <= 1 && (whole.refusals.length === 0 || whole.ended), 'a refusal is not the end');
      return `${Math.min(plain.length, 3)} of ${Math.min(whole.requests.length, 3)}, ${whole.upgrades.length}, ${whole.refusals[0]?.replace(/ name .*/, '') ?? ''}`;
    },
  }),
};
