// Answers without an end of their own, such as server-sent events: a drain can't wait for their end.

export interface EndlessAnswer {
  /** Ends it in order for its client, which is to come again elsewhere: the connection ends behind it. */
  endEarly(): void;
}

/** Streams for pages: `EventSource` (HTML Standard §9.2), and pictures that replace each other. */
const ENDLESS = /^(?:text\/event-stream|multipart\/x-mixed-replace)(?:[\t ;]|$)/i;

/** Whether the fields, flat, are those of such an answer, as far as its type says. */
export function isEndless(fields: readonly string[]): boolean {
  const at = fields.findIndex((name, i) => i % 2 === 0 && name.toLowerCase() === 'content-type');
  return at !== -1 && ENDLESS.test(fields[at + 1] ?? '');
}
