// What the gateway does for a stream: a request is served as one of HTTP/1.1 is, an extended CONNECT is a handshake.
import type { ServerHttp2Stream } from 'node:http2';
import { withListenerFields } from '../../actions/listener-fields.ts';
import { peerOf } from '../../actions/peer.ts';
import { rejectRequest } from '../../actions/reject.ts';
import type { Emit } from '../../events.ts';
import type { Rejection } from '../../handshake/rejection.ts';
import type { Gateway } from '../../pipeline/requests.ts';
import type { Http2Connection } from './connection.ts';
import { Http2Request, Http2Response } from './exchange.ts';
import type { Http2Head } from './head.ts';
import type { StreamHandler } from './server.ts';
import { Http2Tunnel } from './tunnel.ts';

export class GatewayStreams implements StreamHandler {
  readonly #gateway: Gateway;
  readonly #emit: Emit;

  constructor(gateway: Gateway, emit: Emit) {
    this.#gateway = gateway;
    this.#emit = emit;
  }

  onStream(stream: ServerHttp2Stream, { message, websocket }: Http2Head, connection: Http2Connection): void {
    const { socket } = connection;
    if (!websocket) {
      const request = new Http2Request(stream, message, socket);
      this.#gateway.serve(request, new Http2Response(stream, request, () => connection.wasReset()));
      return;
    }
    const tunnel = new Http2Tunnel(stream, socket, {
      // Not before: who is refused must not raise the limit of streams.
      onOpened: () => void tunnel.once('close', connection.webSocketOpened()),
      onReset: () => connection.wasReset(),
    });
    this.#gateway.handshakes.onStream(message, tunnel, socket);
  }

  onRefused(stream: ServerHttp2Stream, rejection: Rejection, connection: Http2Connection): void {
    const request = new Http2Request(
      stream,
      { method: '', url: '', httpVersion: '1.1', rawHeaders: [] },
      connection.socket,
    );
    const response = new Http2Response(stream, request, () => connection.wasReset());
    const fields = withListenerFields(connection.socket, rejection.fields);
    rejectRequest({ request, response }, { ...rejection, fields }, null);
    const { status, reason, detail } = rejection;
    this.#emit({
      type: 'head_refused',
      protocol: '2',
      client: peerOf(connection.socket).address,
      status,
      reason,
      detail,
    });
  }
}
