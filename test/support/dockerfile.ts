// A Dockerfile carried out with plain commands in an empty directory: each stage is a directory that stands for its root,
// each COPY copies what .dockerignore lets through, each RUN runs in its WORKDIR with its ENV. Base images are not there:
// node and the compiler are this machine's. Only what our Dockerfiles use is understood, and anything else is an error.
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';

export interface Instruction {
  readonly name: string;
  readonly rest: string;
}

/** Instructions in their order, continued lines joined, comments left out. */
export function parseDockerfile(text: string): Instruction[] {
  const lines = text.split('\n').filter((line) => !/^\s*#/.test(line));
  const joined = lines.join('\n').replaceAll(/\\\n\s*/g, ' ');
  return joined.split('\n').flatMap((line) => {
    const [, name, rest] = /^\s*([A-Z]+)\s+(.*)$/.exec(line) ?? [];
    if (name !== undefined && rest !== undefined) return [{ name, rest: rest.trim() }];
    if (line.trim() === '') return [];
    throw new Error(`no instruction: ${line}`);
  });
}

/** What .dockerignore leaves of a context: everything is left out but what is named with `!`. */
export function readDockerignore(text: string): readonly string[] {
  const [first, ...kept] = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  if (first !== '*' || kept.some((line) => !/^![\w./-]+$/.test(line)))
    throw new Error('this .dockerignore is not understood');
  return kept.map((line) => line.slice(1));
}

/** Sources and target of a COPY, and the stage that it copies from; null: the context. */
export function parseCopy(rest: string): { from: string | null; sources: string[]; target: string } {
  const words = rest.split(/\s+/);
  const flags = words.filter((word) => word.startsWith('--'));
  const [flag] = flags;
  if (flags.length > 1 || (flag !== undefined && !flag.startsWith('--from='))) throw new Error(`COPY ${rest}`);
  const paths = words.filter((word) => !word.startsWith('--'));
  return { from: flag?.slice('--from='.length) ?? null, sources: paths.slice(0, -1), target: paths.at(-1) ?? '' };
}

/** Whether a path of the context, with all that is in it, gets into the image's build. */
export function isKept(path: string, kept: readonly string[]): boolean {
  return kept.some((one) => path === one || path.startsWith(`${one}/`));
}

interface Stage {
  readonly base: string;
  readonly root: string;
  cwd: string;
  readonly env: Record<string, string>;
}

/** The last stage, built. */
export interface Image {
  /** Its root. */
  readonly root: string;
  /** WORKDIR, in this file system. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly base: string;
  readonly cmd: readonly string[];
  readonly healthcheck: readonly string[];
}

const execute = promisify(execFile);

/** Builds it into `directory`, which is empty; rejects with what an instruction said that failed. */
export async function buildImage(context: string, dockerfile: string, directory: string): Promise<Image> {
  const kept = readDockerignore(readFileSync(join(context, '.dockerignore'), 'utf8'));
  const stages = new Map<string, Stage>();
  let stage: Stage | null = null;
  let [cmd, healthcheck]: [readonly string[], readonly string[]] = [[], []];
  for (const { name, rest } of parseDockerfile(readFileSync(join(context, dockerfile), 'utf8'))) {
    if (name === 'FROM') {
      const [, base = '', label = 'last'] = /^(\S+)(?: AS (\S+))?$/.exec(rest) ?? [];
      const root = join(directory, label);
      mkdirSync(root);
      stage = { base, root, cwd: root, env: {} };
      stages.set(label, stage);
      continue;
    }
    if (stage === null) throw new Error(`${name} before FROM`);
    switch (name) {
      case 'WORKDIR':
        stage.cwd = join(stage.root, rest);
        mkdirSync(stage.cwd, { recursive: true });
        break;
      case 'ENV': {
        const [, key = '', value = ''] = /^(\w+)=(\S*)$/.exec(rest) ?? [];
        stage.env[key] = value;
        break;
      }
      case 'COPY':
        copy(rest, { stage, stages, context, kept });
        break;
      case 'RUN':
        await runIn(stage, rest);
        break;
      case 'CMD':
        cmd = JSON.parse(rest) as string[];
        break;
      case 'HEALTHCHECK':
        healthcheck = JSON.parse(rest.slice(rest.indexOf('['))) as string[];
        break;
      case 'LABEL':
      case 'EXPOSE':
      case 'STOPSIGNAL':
        break;
      default:
        throw new Error(`${name} is not understood`);
    }
  }
  if (stage === null) throw new Error('no FROM');
  return { ...stage, cmd, healthcheck };
}

interface Copying {
  readonly stage: Stage;
  readonly stages: ReadonlyMap<string, Stage>;
  readonly context: string;
  readonly kept: readonly string[];
}

function copy(rest: string, { stage, stages, context, kept }: Copying): void {
  const { from, sources, target } = parseCopy(rest);
  const to = target.startsWith('/') ? join(stage.root, target) : join(stage.cwd, target);
  const into = target.endsWith('/') || target === '.' || sources.length > 1;
  for (const source of sources) {
    if (from === null && !isKept(source, kept)) throw new Error(`COPY ${rest}: .dockerignore leaves ${source} out`);
    const path = join(from === null ? context : (stages.get(from)?.root ?? '/nowhere'), source);
    if (!existsSync(path)) throw new Error(`COPY ${rest}: there is no ${source}`);
    // A directory's content is copied, a file goes into the target.
    const end = into && !statSync(path).isDirectory() ? join(to, basename(path)) : to;
    mkdirSync(dirname(end), { recursive: true });
    cpSync(path, end, { recursive: true, verbatimSymlinks: true });
  }
}

/** Packages of the system are this machine's own: what installs them is left out of a command, the rest is run. */
const INSTALLS =
  /^apt-get update && apt-get install -y --no-install-recommends [\w\s.-]+ && rm -rf \/var\/lib\/apt\/lists\/\*$/;

async function runIn({ cwd, env }: Stage, command: string): Promise<void> {
  if (INSTALLS.test(command)) return;
  try {
    await execute('sh', ['-e', '-c', command], { cwd, env: { ...ownEnv(), ...env }, maxBuffer: 64 << 20 });
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    throw new Error(`RUN ${command}\n${stdout}${stderr}`);
  }
}

/** Ours, without what npm and the test runner have put there. */
function ownEnv(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(npm_|NODE_|VITEST|TEST$|COVERAGE$|INIT_CWD$)/i.test(name)),
  );
}
