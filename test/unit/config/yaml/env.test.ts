// biome-ignore-all lint/suspicious/noTemplateCurlyInString: ${VAR} is what the config itself writes.
import { describe, expect, it } from 'vitest';
import { substitute } from '../../../../src/config/yaml/env.ts';

const env = { HOST: 'app', PORT: '80', EMPTY: '', TRICKY: '$${HOST} ${HOST} $& $1', _x9: 'y' };

describe('substitute', () => {
  it.each([
    ['plain', 'plain'],
    ['${HOST}', 'app'],
    ['${_x9}', 'y'],
    ['ws://${HOST}:${PORT}/', 'ws://app:80/'],
    ['${EMPTY}', ''],
    ['${EMPTY:-default}', 'default'],
    ['${UNSET:-default}', 'default'],
    ['${UNSET:-}', ''],
    ['${UNSET:-a:-b}', 'a:-b'],
    ['${UNSET:-two\nlines}', 'two\nlines'],
    ['${HOST:-default}', 'app'],
    ['${HOST:?needed}', 'app'],
    ['$${HOST}', '${HOST}'],
    ['$$${HOST}', '$${HOST}'],
    ['$HOST {HOST} $', '$HOST {HOST} $'],
    ['/rooms/{room}', '/rooms/{room}'],
    ['${TRICKY}', '$${HOST} ${HOST} $& $1'],
  ])('%j becomes %j', (text, expected) => {
    const { text: result, faults } = substitute(text, env);
    expect(faults).toEqual([]);
    expect(result).toBe(expected);
  });

  it('tells what came from the environment from what came from the file', () => {
    expect(substitute('${HOST}:${UNSET:-80}', env)).toMatchObject({ replaced: true, secrets: ['app'] });
    expect(substitute('${UNSET:-80}', env)).toMatchObject({ replaced: true, secrets: [] });
    expect(substitute('$${HOST}', env)).toMatchObject({ replaced: false, secrets: [] });
  });

  it.each([
    ['${UNSET}', 'the environment variable UNSET is not set', 'set UNSET, or give it a default: ${UNSET:-...}'],
    ['${UNSET:?a port, please}', 'the environment variable UNSET is not set: a port, please', 'set UNSET'],
    ['${EMPTY:?}', 'the environment variable EMPTY is not set', 'set EMPTY'],
    ['${constructor}', 'the environment variable constructor is not set', 'set constructor'],
    ['${HOST-x}', '${HOST-x} is no reference to a variable', 'write ${VAR}'],
    ['${}', '${} is no reference to a variable', 'write ${VAR}'],
    ['${1A}', '${1A} is no reference to a variable', 'write ${VAR}'],
    ['${HOST:=x}', '${HOST:=x} is no reference to a variable', 'write ${VAR}'],
    ['${HOST', '"${" without its "}"', 'one reference cannot hold another'],
    ['${A:-${HOST}}', '"${" without its "}"', 'one reference cannot hold another'],
  ])('refuses %j', (text, message, hint) => {
    const [fault, ...more] = substitute(text, env).faults;
    expect(more).toEqual([]);
    expect(fault).toEqual({ message, hint: expect.stringContaining(hint) });
  });

  it('finds every fault of a text', () => {
    expect(substitute('${A}${B}', {}).faults).toHaveLength(2);
  });
});
