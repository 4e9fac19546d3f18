// Plain requests of node's server: each is served once the earlier ones of its connection are answered, unless it has become
// invalid by then.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { peerOf } from '../../actions/peer.ts';
import { guarded } from '../../base/guard.ts';
import type { Emit } from '../../events.ts';
import { listHas, lowerNames } from '../../http/fields.ts';
import type { Gateway } from '../../pipeline/requests.ts';
import { TOO_MUCH_WAITS } from '../waiting-refusal.ts';
import { NodeRequest, NodeResponse } from './client.ts';
import { PipelineQueue } from './pipelining.ts';

export class NodeRequests {
  /** The requests of this server that wait behind others of their connection. */
  readonly queue: PipelineQueue;
  readonly #gateway: Gateway;
  readonly #emit: Emit;

  constructor(gateway: Gateway, emit: Emit) {
    this.queue = new PipelineQueue(gateway.waiting);
    this.#gateway = gateway;
    this.#emit = emit;
  }

  /** Takes a request of any kind but an upgrade. */
  readonly onRequest = guarded(
    'request',
    (req: IncomingMessage, res: ServerResponse) => this.#onRequest(req, res),
    cut,
  );

  #onRequest(req: IncomingMessage, res: ServerResponse): void {
    const inTurn = (): void => this.#gateway.acceptPriority.defer(() => this.#onTurn(req, res));
    if (this.queue.take(req, res, inTurn)) return;
    const client = peerOf(req.socket).address;
    const { reason, status, detail } = TOO_MUCH_WAITS;
    this.#emit({ type: 'head_refused', protocol: '1.1', client, status, reason, detail });
  }

  /**
   * The answer before it said that the connection ends, and there is no request behind that (RFC 9112 §9.6): node may have
   * read one all the same, where it came along with the one before. Or its client has left while it waited, or its own body
   * turned out to be malformed and was answered.
   */
  readonly #onTurn = guarded(
    'request',
    (req: IncomingMessage, res: ServerResponse) => {
      const [request, response] = [new NodeRequest(req), new NodeResponse(res)];
      response.onClosed(() => this.queue.answered(req.socket));
      if (req.socket.writable && !res.destroyed) {
        if (mayBeUpgrade(req)) response.closeAfter();
        this.#gateway.serve(request, response);
      } else if (req.socket.destroyed) this.#gateway.missed(request, response);
    },
    cut,
  );
}

/** The end of a request that broke before anything could answer it. */
function cut(_req: IncomingMessage, res: ServerResponse): void {
  res.destroy();
}

/** Whether node's parser may have seen an upgrade, although nobody took it: what came behind it may be lost then. */
function mayBeUpgrade({ headers, rawHeaders }: IncomingMessage): boolean {
  if (headers.upgrade === undefined) return false;
  return listHas({ fields: rawHeaders, names: lowerNames(rawHeaders) }, 'connection', 'upgrade');
}
