// Why a listening socket could not be opened, as a message that includes what to do. Text only: it neither binds nor
// retries.
import { systemCode } from '../errors.ts';

const PRIVILEGED = [
  'Ports below 1024 are privileged. Three ways out:',
  '  1. give node the capability:  sudo setcap \'cap_net_bind_service=+ep\' "$(readlink -f "$(which node)")"',
  '     or, as a systemd service:  AmbientCapabilities=CAP_NET_BIND_SERVICE',
  '  2. let everyone bind it:      sudo sysctl net.ipv4.ip_unprivileged_port_start=80',
  '  3. take another port:         `port: 8080` in the config; HTTP_PORT=8080 where that takes it from the environment',
].join('\n');

/**
 * Several lines of text for an error of `listen`. `address` is what was to be bound: `host:port`, `[::]:443`, or the path
 * of a unix socket (with or without `unix:` before it).
 */
export function describeBindError(error: unknown, address: string): string {
  const path = address.startsWith('unix:') ? address.slice('unix:'.length) : address;
  const advice = path.startsWith('/') || path.startsWith('.') ? socketAdvice(error, path) : portAdvice(error, address);
  const [why, ...todo] = advice;
  return [`Cannot listen on ${address}: ${why}`, ...todo].join('\n');
}

/** The reason, then what to do. */
type Advice = readonly [string, ...string[]];

function portAdvice(error: unknown, address: string): Advice {
  const port = address.slice(address.lastIndexOf(':') + 1);
  switch (systemCode(error)) {
    case 'EACCES':
      return [`permission denied (EACCES).`, PRIVILEGED];
    case 'EADDRINUSE':
      return [
        'the port is taken (EADDRINUSE).',
        `See who has it with:  ss -ltnp 'sport = :${port}'`,
        'Stop that process, or name another port in the config.',
      ];
    case 'EADDRNOTAVAIL':
      return [
        'this machine does not have that address (EADDRNOTAVAIL).',
        'See those it has with:  ip -brief address',
        'To take connections on all of them, leave `host` out.',
      ];
    case 'EAFNOSUPPORT':
      return [
        'this machine has no IPv6 (EAFNOSUPPORT).',
        'Name an IPv4 address: `host: 0.0.0.0` takes connections on all of them.',
      ];
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return [`the host name cannot be resolved (${systemCode(error)}).`, 'Name an IP address as `host`.'];
    case 'EINVAL':
      return [
        'the address cannot be bound as it is written (EINVAL).',
        'A link-local IPv6 address needs its interface: `fe80::1%eth0`.',
      ];
    default:
      return otherwise(error);
  }
}

function socketAdvice(error: unknown, path: string): Advice {
  switch (systemCode(error)) {
    case 'EADDRINUSE':
      return [
        'something is there already (EADDRINUSE).',
        `See whether a process listens on it:  ss -lxp 'src ${path}'`,
        `If none does, the file was left behind:  rm '${path}'`,
      ];
    case 'EACCES':
    case 'EPERM':
    case 'ENOENT':
      return [
        // libuv reports EACCES for ENOENT too, as Windows does.
        `its directory does not exist, or may not be written to (${systemCode(error)}).`,
        'The user that runs the gateway must be able to write to the directory; a systemd service gets one of its own',
        'with RuntimeDirectory=upgate, at /run/upgate.',
      ];
    case 'ENOTDIR':
      return [`what its path leads through is no directory (${systemCode(error)}).`, 'Name another path.'];
    case 'EROFS':
      return ['the file system is read-only (EROFS).', 'Name a path in a directory that can be written, such as /run.'];
    default:
      return otherwise(error);
  }
}

function otherwise(error: unknown): Advice {
  const code = systemCode(error);
  if (code === 'EMFILE' || code === 'ENFILE') {
    return [
      `no file descriptor is left (${code}).`,
      'See the limit with `ulimit -n`; for systemd, LimitNOFILE=1048576.',
    ];
  }
  return [`${error instanceof Error ? error.message : String(error)}.`];
}
