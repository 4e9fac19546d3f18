// A DNS server on loopback (UDP) that answers A and AAAA as a test says: just enough of RFC 1035 for node's resolver.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';

/** Addresses of a name; `fail`: SERVFAIL, `none`: no such name, `silent`: no answer at all. */
export type Zone = Record<string, readonly string[] | 'fail' | 'none' | 'silent'>;

export interface TestDns {
  /** `127.0.0.1:port`. */
  readonly address: string;
  /** Changed by the test at will. */
  readonly zone: Zone;
  /** Seconds that each answer may be used for. */
  ttl: number;
  /** `A name` and `AAAA name`, in the order of the questions. */
  readonly asked: readonly string[];
  close(): void;
}

const TYPES: Readonly<Record<number, string>> = { 1: 'A', 28: 'AAAA' };

function readName(message: Buffer, from: number): { name: string; end: number } {
  const labels: string[] = [];
  let at = from;
  for (let length = message[at]!; length > 0; length = message[at]!) {
    labels.push(message.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.').toLowerCase(), end: at + 1 };
}

function octets(address: string): Buffer {
  if (!address.includes(':')) return Buffer.from(address.split('.').map(Number));
  const [head = '', tail = ''] = address.split('::');
  const groups = (text: string) => (text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16)));
  const [before, after] = [groups(head), groups(tail)];
  const all = [...before, ...Array.from({ length: 8 - before.length - after.length }, () => 0), ...after];
  const bytes = Buffer.alloc(16);
  for (const [i, group] of all.entries()) bytes.writeUInt16BE(group, 2 * i);
  return bytes;
}

/** Listens on a free port of 127.0.0.1. */
export async function startDns(zone: Zone): Promise<TestDns> {
  const socket = createSocket('udp4');
  const asked: string[] = [];
  const self = { address: '', zone, ttl: 1, asked, close: () => void socket.close() };
  socket.on('message', (message, peer) => {
    const { name, end } = readName(message, 12);
    const type = TYPES[message.readUInt16BE(end)];
    asked.push(`${type} ${name}`);
    const entry = self.zone[name] ?? 'none';
    if (entry === 'silent') return;
    const found = typeof entry === 'string' ? [] : entry.filter((one) => one.includes(':') === (type === 'AAAA'));
    const header = Buffer.alloc(12);
    message.copy(header, 0, 0, 2);
    header.writeUInt16BE(0x8180 | (entry === 'fail' ? 2 : entry === 'none' ? 3 : 0), 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(found.length, 6);
    const records = found.map((address) => {
      const data = octets(address);
      const record = Buffer.alloc(12);
      record.writeUInt16BE(0xc00c, 0);
      message.copy(record, 2, end, end + 4);
      record.writeUInt32BE(self.ttl, 6);
      record.writeUInt16BE(data.length, 10);
      return Buffer.concat([record, data]);
    });
    socket.send(Buffer.concat([header, message.subarray(12, end + 4), ...records]), peer.port, peer.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  self.address = `127.0.0.1:${socket.address().port}`;
  return self;
}
