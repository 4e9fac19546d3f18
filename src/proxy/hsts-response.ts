// A response that tells browsers to use https only (RFC 6797), whoever has made the answer: the gateway or a server.
import type { ClientResponse, ResponseEvents, ResponseHead } from './client.ts';

const FIELD = 'Strict-Transport-Security';

/** Hands everything on to a response, with the field on the head of its final answer where that has none of its own. */
export class HstsResponse implements ClientResponse {
  readonly #response: ClientResponse;
  readonly #value: string;

  constructor(response: ClientResponse, value: string) {
    this.#response = response;
    this.#value = value;
  }

  get status(): number {
    return this.#response.status;
  }

  get headersSent(): boolean {
    return this.#response.headersSent;
  }

  get closed(): boolean {
    return this.#response.closed;
  }

  get bytesToClient(): number {
    return this.#response.bytesToClient;
  }

  notify(events: ResponseEvents | null): void {
    this.#response.notify(events);
  }

  onClosed(callback: () => void): void {
    this.#response.onClosed(callback);
  }

  closeAfter(): void {
    this.#response.closeAfter();
  }

  interim(status: number, phrase: string, fields: readonly string[]): void {
    this.#response.interim(status, phrase, fields);
  }

  answer(head: ResponseHead, body: Buffer | null): void {
    this.#response.answer(this.#withField(head), body);
  }

  head(head: ResponseHead): void {
    this.#response.head(this.#withField(head));
  }

  write(part: Buffer): boolean {
    return this.#response.write(part);
  }

  end(last: Buffer | null, trailers: readonly [string, string][]): void {
    this.#response.end(last, trailers);
  }

  flush(): void {
    this.#response.flush();
  }

  cut(): void {
    this.#response.cut();
  }

  cutBehind(most: number, then: () => void): void {
    this.#response.cutBehind(most, then);
  }

  #withField(head: ResponseHead): ResponseHead {
    return { ...head, fields: withHsts(head.fields, this.#value) };
  }
}

/** The fields of an answer, flat, with Strict-Transport-Security where they have none. */
export function withHsts(fields: readonly string[], value: string): readonly string[] {
  const said = fields.some((name, i) => i % 2 === 0 && name.toLowerCase() === FIELD.toLowerCase());
  return said ? fields : [...fields, FIELD, value];
}
