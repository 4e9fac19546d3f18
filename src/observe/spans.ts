// Spans of OpenTelemetry, one for each request, handshake and session, where the user brings `@opentelemetry/api` and registers a
// tracer provider with it (as its SDK does). A span is made when what it stands for is over: events tell its time. Without the
// package nothing is done; that is found out once, at the start.
import type { Attributes, Context, Tracer } from '@opentelemetry/api';
import type { GatewayEvent, SessionClosed, Subject } from '../events.ts';

/** The package, as far as it is used. */
type Api = Pick<
  typeof import('@opentelemetry/api'),
  'ProxyTracerProvider' | 'ROOT_CONTEXT' | 'SpanKind' | 'SpanStatusCode' | 'trace'
>;

/** How the package is loaded; rejects where it is not there. */
type Load = () => Promise<Api>;

type Outcome = Extract<
  GatewayEvent,
  { type: 'request_completed' | 'session_opened' | 'session_closed' | `handshake_${string}` }
>;

export class Spans {
  #api: Api | null = null;
  #tracer: Tracer | null = null;
  #version = '';

  /** Loads the package where it is installed. Never rejects. */
  async open(version: string, load: Load = () => import('@opentelemetry/api')): Promise<void> {
    this.#version = version;
    this.#api = await load().catch(() => null);
  }

  emit(event: GatewayEvent): void {
    if (this.#api === null || !isOutcome(event)) return;
    this.#tracer ??= tracerOf(this.#api, this.#version);
    if (this.#tracer === null) return;
    const { SpanKind, SpanStatusCode } = this.#api;
    const end = Date.now();
    const startTime = end - ('durationMs' in event ? event.durationMs : 0);
    const options = { kind: SpanKind.SERVER, startTime, attributes: attributesOf(event) };
    const span = this.#tracer.startSpan(nameOf(event), options, this.#parentOf(this.#api, event));
    const fault = faultOf(event);
    if (fault !== null) span.setStatus({ code: SpanStatusCode.ERROR, message: fault });
    span.end(end);
  }

  /** The client's own span, where it names one (W3C Trace Context). */
  #parentOf({ ROOT_CONTEXT, trace }: Api, { trace: parent }: Subject): Context {
    if (parent === undefined) return ROOT_CONTEXT;
    const { traceId, spanId, flags: traceFlags } = parent;
    return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags, isRemote: true });
  }
}

/** Null as long as nobody has registered a provider: nothing of a span is put together then. */
function tracerOf({ ProxyTracerProvider, trace }: Api, version: string): Tracer | null {
  const provider = trace.getTracerProvider();
  if (provider instanceof ProxyTracerProvider) return provider.getDelegateTracer('upgate', version) ?? null;
  return provider.getTracer('upgate', version);
}

function isOutcome(event: GatewayEvent): event is Outcome {
  const { type } = event;
  return (
    type === 'request_completed' ||
    type === 'session_opened' ||
    type === 'session_closed' ||
    type.startsWith('handshake_')
  );
}

/** Of few values, as names of spans are to be. */
function nameOf(event: Outcome): string {
  const route = event.route ?? 'no route';
  if (event.type === 'session_closed') return `WebSocket session ${route}`;
  return event.type === 'request_completed' ? `${event.method} ${route}` : `WebSocket handshake ${route}`;
}

/** By the semantic conventions of HTTP, where these have a name for it. */
function attributesOf(event: Outcome): Attributes {
  // One after the other: spreads cost more than all the rest of a span that nobody takes.
  const attributes: Attributes = {
    'http.request.method': event.method,
    'url.path': event.path,
    'client.address': event.client,
    'network.protocol.version': event.protocol,
    'upgate.request_id': event.id,
  };
  if (event.host !== '') attributes['server.address'] = event.host;
  if (event.route !== null) attributes['http.route'] = event.route;
  if ('status' in event) attributes['http.response.status_code'] = event.status;
  // RFC 8441: over HTTP/2 a WebSocket is opened by 200.
  if (event.type === 'session_opened') attributes['http.response.status_code'] = event.protocol === '2' ? 200 : 101;
  if ('reason' in event && event.reason !== null) attributes['upgate.reason'] = event.reason;
  if ('at' in event && event.at !== null) {
    attributes['upgate.upstream'] = event.at.upstream;
    attributes['upgate.server'] = event.at.server;
  }
  if (event.type === 'session_closed') addCarried(attributes, event);
  return attributes;
}

function addCarried(attributes: Attributes, { fromClient, toClient, code, initiator }: SessionClosed): void {
  attributes['upgate.bytes_in'] = fromClient.bytes;
  attributes['upgate.bytes_out'] = toClient.bytes;
  attributes['upgate.closed_by'] = initiator;
  if (code !== null) attributes['upgate.close_code'] = code;
}

/** What makes it an error: of a server, by the conventions, 5xx alone. */
function faultOf(event: Outcome): string | null {
  if (event.type === 'session_closed') return event.cut ? event.reason : null;
  return 'status' in event && event.status >= 500
    ? ('reason' in event && event.reason) || `status ${event.status}`
    : null;
}
