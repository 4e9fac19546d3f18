// The same test by HTTP/1.1 and by HTTP/2: a gateway has a listener for each, and clients are told which to take.
import { request } from 'node:http';
import type { TcpNetConnectOpts } from 'node:net';
import type { Gateway, GatewayFile } from './gateway.ts';
import { Http1OverHttp2 } from './http1-over-http2.ts';

/** As the log names them. */
export const PROTOCOLS = ['1.1', '2'] as const;
export type Protocol = (typeof PROTOCOLS)[number];

type ListenerFile = NonNullable<GatewayFile['listeners']>[number];

/** The listeners of a gateway that is asked by both. */
export const bothListeners = (more: Partial<ListenerFile> = {}): ListenerFile[] => [
  { host: '127.0.0.1', port: 0, ...more },
  { host: '127.0.0.1', port: 0, ...more, http2: { prior_knowledge: true, extended_connect: true } },
];

/** Where a client of the protocol connects to. */
export const targetOf = (gateway: Gateway, protocol: Protocol, from?: string) => ({
  ...{ host: '127.0.0.1', port: gateway.ports[PROTOCOLS.indexOf(protocol)] as number },
  ...(from === undefined ? {} : { localAddress: from }),
  ...(protocol === '2' ? { http2: true as const } : {}),
});

/** For the `ws` client, and for node's; each has a type of its own for what makes a connection. */
export const optionsOf = (protocol: Protocol): { createConnection?: never } =>
  protocol === '1.1'
    ? {}
    : {
        createConnection: (({ host, port, localAddress }: TcpNetConnectOpts) =>
          new Http1OverHttp2({ host, port, localAddress } as TcpNetConnectOpts)) as never,
      };

export interface Fetched {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** A plain request, whole. */
export function fetchBy(
  gateway: Gateway,
  protocol: Protocol,
  path: string,
  { method = 'GET', headers = {}, body = '' as string | Buffer } = {},
): Promise<Fetched> {
  const { host, port } = targetOf(gateway, protocol);
  return new Promise((resolve, fail) => {
    const req = request({ host, port, path, method, headers, agent: false, ...optionsOf(protocol) });
    req.on('error', fail).on('response', (res) => {
      const parts: Buffer[] = [];
      res.on('data', (part: Buffer) => parts.push(part)).on('error', fail);
      res.on('end', () =>
        resolve({ status: res.statusCode ?? 0, headers: res.headers, text: Buffer.concat(parts).toString() }),
      );
    });
    req.end(body);
  });
}
