// Requests of one connection, as bytes. The first octet of the input says where they are cut. However they are: the same
// requests with the same bodies, or a fault; and what is taken llhttp takes too, as the same, but for a written list.
import { checkRequests } from '../../support/requests-oracle.ts';
import type { Target } from '../target.ts';

export const request: Target = {
  name: 'request',
  words: [
    'GET / HTTP/1.1\r\n',
    'POST /a HTTP/1.1\r\n',
    'HEAD / HTTP/1.0\r\n',
    'OPTIONS * HTTP/1.1\r\n',
    'FOO / HTTP/1.1\r\n',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    ' HTTP/1.1\r\n',
    'Host: a\r\n',
    'Host: a\r\n\r\n',
    'http://a/b',
    'Content-Length: 5\r\n',
    'Content-Length: 0\r\n',
    'Transfer-Encoding: chunked\r\n',
    'Transfer-Encoding: gzip, chunked\r\n',
    'Connection: close\r\n',
    'Connection: keep-alive\r\n',
    'Connection: Upgrade\r\nUpgrade: websocket\r\n',
    'Expect: 100-continue\r\n',
    '5\r\nabcde\r\n',
    '0\r\n\r\n',
    '0\r\nX: y\r\n\r\n',
    'a;x=y\r\n',
    '\r\n',
    '\r\n\r\n',
    '\n',
    '\r',
    ':',
    ' ',
    '\t',
    '\0',
    '\x80',
    '\x16\x03\x01',
  ],
  longest: 8192,
  open: () => ({
    close() {},
    check(input) {
      const bytes = input.subarray(1);
      const { requests, end, fault } = checkRequests(bytes, [Math.min(input[0] ?? 0, bytes.length)]);
      const whole = requests.filter(({ complete }) => complete).length;
      return `${Math.min(whole, 3)} whole of ${Math.min(requests.length, 3)}, ${end}: ${fault?.replace(/ name .*/, '') ?? ''}`;
    },
  }),
};
