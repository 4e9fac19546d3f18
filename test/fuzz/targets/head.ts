// Heads of requests. The input is bytes off a connection: what node's parser makes a request of is accepted or refused
// with a fault, and the head rebuilt from an accepted one is the same request to node's parser again, and to a reader
// written here line by line.
import { attribute, compileTrustedProxies } from '../../../src/http/forwarding/forwarded.ts';
import { type Request, type RequestHead, readHead, readRequest } from '../../../src/http/head.ts';
import { requestFields } from '../../../src/http/policy/policy.ts';
import { formatFields } from '../../../src/http/problem.ts';
import { headWithoutUpgrade } from '../../../src/listen/node/downgrade.ts';
import { type NodeRequests, openNodeRequests } from '../node-http.ts';
import { promise, type Target } from '../target.ts';

const TRUSTED = compileTrustedProxies(['10.0.0.0/8']);

interface Read {
  readonly method: string;
  readonly target: string;
  readonly fields: readonly string[];
}

/** A head by the letter of RFC 9112 §2.2, §3, §5; throws where it is none. */
export function readStrictly(text: string): Read {
  promise(text.endsWith('\r\n\r\n'), 'a rebuilt head does not end');
  const [start = '', ...lines] = text.slice(0, -4).split('\r\n');
  const words = start.split(' ');
  promise(
    words.length === 3 && words[2] === 'HTTP/1.1',
    `a rebuilt request line has other words: ${JSON.stringify(start)}`,
  );
  const fields = lines.flatMap((line) => {
    const [, name, value] = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ([^\r\n\0]*)$/.exec(line) ?? [];
    promise(name !== undefined && value !== undefined, `a rebuilt field is malformed: ${JSON.stringify(line)}`);
    return [name as string, value as string];
  });
  return { method: words[0] as string, target: words[1] as string, fields };
}

const count = (fields: readonly string[], name: string) =>
  fields.filter((field, i) => i % 2 === 0 && field.toLowerCase() === name).length;

/** What the backend gets of it: the same to two readers, with one Host, and nothing of the connection. */
async function checkRebuilt(request: Request, node: NodeRequests): Promise<void> {
  const { head, target } = request;
  const client = attribute(head, TRUSTED, () => 'fresh').client;
  const fields = requestFields({ request, client, route: 'r', params: {}, claims: null, granted: [] }, new Set());
  const text = `${head.method} ${target.raw} HTTP/1.1\r\n${formatFields(fields)}\r\n`;
  const strict = readStrictly(text);
  promise(strict.method === head.method && strict.target === target.raw, 'a rebuilt request line says something else');
  promise(JSON.stringify(strict.fields) === JSON.stringify(fields), 'rebuilt fields say something else');
  promise(count(fields, 'host') === (request.host === '' ? 0 : 1), 'a rebuilt head has another number of Hosts');
  promise(count(fields, 'content-length') <= 1, 'a rebuilt head has more than one Content-Length');
  for (const name of ['connection', 'upgrade', 'te', 'transfer-encoding', 'keep-alive'])
    promise(count(fields, name) === 0, `${name} crosses`);
  // CONNECT and its target are for no backend; node takes other methods for other requests, too.
  const again = await node.read(Buffer.from(text, 'latin1'));
  promise(again !== null, `node's parser refuses a rebuilt head: ${JSON.stringify(text)}`);
  const same = again?.method === head.method && again.url === target.raw;
  promise(same, `node's parser reads another request line: ${JSON.stringify([again?.method, again?.url])}`);
  promise(JSON.stringify(again?.rawHeaders) === JSON.stringify(fields), "node's parser reads other fields");
}

/** The head of an upgrade to something else goes back into the connection as what it was, but for the upgrade. */
async function checkPutBack(head: RequestHead, node: NodeRequests): Promise<void> {
  const again = await node.read(Buffer.from(headWithoutUpgrade(head), 'latin1'));
  promise(again !== null, "node's parser refuses a head that was put back");
  if (again === null) return;
  const back = readHead(again, false, head.peer);
  promise(back.method === head.method && back.target === head.target, 'a head put back has another request line');
  const of = new Set(['upgrade', 'http2-settings', 'connection']);
  const rest = ({ fields, names }: RequestHead) =>
    names.flatMap((name, i) => (of.has(name) ? [] : [fields[2 * i], fields[2 * i + 1]]));
  promise(JSON.stringify(rest(back)) === JSON.stringify(rest(head)), 'a head put back has other fields');
  promise(!back.names.includes('upgrade'), 'a head put back still upgrades');
}

export const head: Target = {
  name: 'head',
  words: [
    'GET ',
    'POST ',
    'CONNECT ',
    'OPTIONS * ',
    ' HTTP/1.1\r\n',
    ' HTTP/1.0\r\n',
    '\r\n',
    '\r\n\r\n',
    '\n',
    '\r',
    ':',
    ': ',
    ' ',
    '\t',
    '\0',
    'Host: a\r\n',
    'Host: b:80\r\n',
    'Upgrade: websocket\r\n',
    'Connection: Upgrade\r\n',
    'Connection: close, X-Forwarded-For\r\n',
    'Transfer-Encoding: chunked\r\n',
    'Content-Length: 5\r\n',
    'Content-Length: 0\r\n',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n',
    'Sec-WebSocket-Version: 13\r\n',
    'X-Forwarded-For: 10.0.0.1, ::1\r\n',
    'X_Forwarded_For: 6.6.6.6\r\n',
    'Forwarded: for=1.1.1.1\r\n',
    'X-Request-Id: id\r\n',
    'http://a:1/',
    'ws://[::1]',
    '//',
    '/..',
    '/%2e%2e',
    '%2F',
    '%',
    '?',
    '#',
    '\\',
    '\x80',
    '_',
    'Expect: 100-continue\r\n',
    'Upgrade: h2c\r\nHTTP2-Settings: AA\r\n',
  ],
  longest: 8192,
  open: () => {
    const node = openNodeRequests();
    return {
      close: node.close,
      async check(input) {
        const message = await node.read(input);
        if (message === null) return 'no request';
        const peer = input.length % 2 === 0 ? '10.0.0.1' : '203.0.113.9';
        const read = readHead(message, false, peer);
        promise(JSON.stringify(read.fields) === JSON.stringify(message.rawHeaders), 'fields are lost');
        const request = readRequest(read);
        if ('fault' in request) {
          promise(request.fault !== '', 'a fault without words');
          return request.fault.replace(/ name .*/, '');
        }
        await checkRebuilt(request, node);
        await checkPutBack(read, node);
        return `a request, ${read.version}, ${read.names.length > 9}`;
      },
    };
  },
};
