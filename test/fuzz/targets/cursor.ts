// Frames. The first octet says how the stream behind it is cut. Followed in one piece, in pieces, and by the C cursor where
// there is a compiler: the same is told of it.
import { type ChildProcessWithoutNullStreams, execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { follow } from '../../support/cursor.ts';
import { promise, type Target } from '../target.ts';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

interface Native {
  /** What the C cursor tells of a stream, as JSON. */
  tell(stream: Buffer, cuts: readonly number[]): Promise<string>;
  close(): void;
}

function openNative(): Native | null {
  if (spawnSync('cc', ['--version'], { stdio: 'ignore' }).status !== 0) return null;
  const folder = mkdtempSync(join(tmpdir(), 'cursor-'));
  const program = join(folder, 'cursor-drive');
  execFileSync('cc', [
    '-std=c11',
    '-O1',
    '-o',
    program,
    here('../cursor-drive.c'),
    here('../../../src/relay/native/c/cursor.c'),
  ]);
  const child: ChildProcessWithoutNullStreams = spawn(program);
  const lines = createInterface({ input: child.stdout });
  let answer: (line: string) => void = () => {};
  lines.on('line', (line) => answer(line));
  return {
    tell: (stream, cuts) =>
      new Promise((resolve) => {
        answer = resolve;
        const head = Buffer.from(Uint32Array.from([stream.length, cuts.length, ...cuts]).buffer);
        child.stdin.write(Buffer.concat([head, stream]));
      }),
    close: () => {
      child.stdin.end();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const frame = (...octets: number[]) => String.fromCharCode(...octets);

export const cursor: Target = {
  name: 'cursor',
  words: [
    frame(0x81, 5),
    frame(0x81, 0x85, 1, 2, 3, 4),
    frame(0x01, 3),
    frame(0x00, 1),
    frame(0x80, 2),
    frame(0x82, 126, 0, 200),
    frame(0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0),
    frame(0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0),
    frame(0x82, 255, 0, 0x20, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4),
    frame(0x88, 2, 3, 232),
    frame(0x88, 0),
    frame(0x88, 1, 3),
    frame(0x89, 0),
    frame(0x8a, 125),
    frame(0x89, 126),
    frame(0x09, 0),
    frame(0xff, 0),
    'hello',
  ],
  longest: 4096,
  open: () => {
    const native = openNative();
    return {
      close: () => native?.close(),
      async check(input) {
        const stream = input.subarray(1);
        const size = 1 + ((input[0] ?? 0) % 40);
        const cuts: number[] = [];
        for (let at = size; at < stream.length; at += size) cuts.push(at);
        const whole = follow(stream, []);
        const told = JSON.stringify(whole);
        promise(JSON.stringify(follow(stream, cuts)) === told, 'a stream in pieces is told of in another way');
        if (native !== null) promise((await native.tell(stream, cuts)) === told, 'the C cursor tells something else');
        return `${Math.min(whole.events.length, 5)} ${whole.end['lost']} ${whole.end['closeCode'] === null} ${whole.end['atMessage']}`;
      },
    };
  },
};
