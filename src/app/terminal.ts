// The terminal that `top` is shown on: its size, and the keys that end it, q and Ctrl-C.
import type { ReadStream, WriteStream } from 'node:tty';

export interface Terminal {
  readonly rows: number;
  readonly columns: number;
  /** Aborts when the user wants no more of it. */
  readonly quit: AbortSignal;
}

export type Keyboard = Pick<ReadStream, 'isTTY' | 'setRawMode' | 'on' | 'off' | 'pause'>;
export type Screen = Pick<WriteStream, 'isTTY' | 'rows' | 'columns'>;

const CTRL_C = '\u0003';

/**
 * Hands `act` the terminal, null where the output is none, and gives it back as it was. Keys are taken as they are typed, without
 * Enter and without showing them; where the input is no terminal, only a signal ends it.
 */
export async function onTerminal<T>(
  { input, output }: { readonly input: Keyboard; readonly output: Screen },
  act: (terminal: Terminal | null) => Promise<T>,
): Promise<T> {
  if (!output.isTTY) return act(null);
  const quit = new AbortController();
  const take = (keys: Buffer): void => {
    const typed = keys.toString();
    if (typed.includes('q') || typed.includes(CTRL_C)) quit.abort();
  };
  if (input.isTTY) {
    input.setRawMode(true);
    input.on('data', take);
  }
  try {
    return await act({
      // Both change with the window.
      get rows() {
        return output.rows;
      },
      get columns() {
        return output.columns;
      },
      quit: quit.signal,
    });
  } finally {
    if (input.isTTY) {
      input.off('data', take);
      input.setRawMode(false);
      input.pause();
    }
  }
}
