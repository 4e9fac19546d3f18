// What the broker does in Redis, as scripts: each is one step that other nodes see whole or not at all. A room has a
// stream (its log), a hash of members, a hash of the nodes (gateways) that hold any of them, and a hash `meta` with the
// id of its last message, its floor (everything behind the floor is in the log) and the bytes of the log. What happens
// in a room is published to the channel of each node that holds a member of it. So a node subscribes to one channel
// however many rooms it has, and gets a room's events from the very step that adds its first member.
//
// Keys begin with a prefix that holds the number of the database, since channels are shared by all databases. They are
// made in the scripts, so a Redis Cluster will not do; one Redis, or one with replicas, will.
import { createHash } from 'node:crypto';
import { DEFAULT_RETENTION, MAX_ROOM_BYTES } from './broker.ts';

export interface Script {
  readonly text: string;
  /** SHA-1, by which EVALSHA finds it. */
  readonly sha: string;
}

/** Milliseconds after its last heartbeat for which a node counts as live. */
export const LEASE_MS = 4000;
/** Members of a dead node that are removed in one step. */
const REAP = 200;
/** How long a room without members is remembered beyond the age of its last message. */
const SPARE_MS = 60_000;
/** Bytes of messages in one reply; a message that is larger comes alone. The rest takes further calls. */
const PAGE_BYTES = 256 * 1024;
/** What a message costs Redis beside its texts. */
const MESSAGE_COST = 200;

const SHARED = `
local P = ARGV[1]
local function key(kind, name) return P .. kind .. ':' .. name end
local function roomKey(room, part) return P .. 'room:' .. part .. ':' .. room end
local function text(n) return string.format('%.0f', n) end
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
local function notify(room, event)
  local packed = cjson.encode(event)
  for _, node in ipairs(redis.call('HKEYS', roomKey(room, 'nodes'))) do
    redis.call('PUBLISH', key('node', node), packed)
  end
end
local function open(room, at)
  local meta, log = roomKey(room, 'meta'), roomKey(room, 'log')
  local floor, last, bytes = unpack(redis.call('HMGET', meta, 'floor', 'last', 'bytes'))
  if not floor or not last then
    floor = text(at - 1) .. '-0'
    last = floor
    redis.call('DEL', log)
    redis.call('HSET', meta, 'floor', floor, 'last', last, 'bytes', 0)
  elseif not bytes or (floor ~= last and redis.call('EXISTS', log) == 0) then
    floor = last
    redis.call('DEL', log)
    redis.call('HSET', meta, 'floor', floor, 'bytes', 0)
  end
  return floor, last
end
local function cost(fields)
  local bytes = MESSAGE_COST
  for i = 2, #fields, 2 do bytes = bytes + #fields[i] end
  return bytes
end
local function page(command, log, from, to, most)
  local found, bytes = {}, 0
  while #found < most do
    local wanted = math.min(8, most - #found)
    local some = redis.call(command, log, from, to, 'COUNT', wanted)
    for _, entry in ipairs(some) do
      bytes = bytes + cost(entry[2])
      if #found > 0 and bytes > PAGE_BYTES then return found, 1 end
      table.insert(found, entry)
    end
    if #some < wanted then return found, 0 end
    from = '(' .. some[#some][1]
  end
  return found, 0
end
local function retention(room)
  local count, age = unpack(redis.call('HMGET', roomKey(room, 'meta'), 'count', 'age'))
  return tonumber(count or DEFAULT_COUNT), tonumber(age or DEFAULT_AGE)
end
local function trim(room, at)
  local log, meta, floor = roomKey(room, 'log'), roomKey(room, 'meta'), nil
  local count, age = retention(room)
  local bytes = tonumber(redis.call('HGET', meta, 'bytes') or 0)
  local function drop(to, most)
    local dropped = redis.call('XRANGE', log, '-', to, 'COUNT', most)
    if #dropped == 0 then return 0 end
    for _, entry in ipairs(dropped) do bytes = bytes - cost(entry[2]) end
    floor = dropped[#dropped][1]
    redis.call('XTRIM', log, 'MAXLEN', redis.call('XLEN', log) - #dropped)
    return #dropped
  end
  local cut = '(' .. text(at - age) .. '-0'
  while drop(cut, 16) == 16 do end
  local surplus = redis.call('XLEN', log) - count
  while surplus > 0 do surplus = surplus - drop('+', math.min(16, surplus)) end
  while bytes > MOST_BYTES and drop('+', 1) == 1 do end
  if floor then redis.call('HSET', meta, 'floor', floor, 'bytes', text(math.max(0, bytes))) end
end
local function remember(room)
  local _, age = retention(room)
  local meta = roomKey(room, 'meta')
  if redis.call('EXISTS', roomKey(room, 'members')) == 1 then redis.call('PERSIST', meta)
  else redis.call('PEXPIRE', meta, text(age + SPARE)) end
  return age
end
local function leave(node, membership, room, user)
  if redis.call('HDEL', roomKey(room, 'members'), membership) == 0 then return end
  if redis.call('HINCRBY', roomKey(room, 'nodes'), node, -1) <= 0 then redis.call('HDEL', roomKey(room, 'nodes'), node) end
  if redis.call('HINCRBY', key('user', user), room, -1) <= 0 then redis.call('HDEL', key('user', user), room) end
  if redis.call('EXISTS', roomKey(room, 'members')) == 0 then redis.call('SREM', P .. 'rooms', room) end
  remember(room)
  notify(room, { 'leave', room, membership, user })
end
`
  .replace('DEFAULT_COUNT', String(DEFAULT_RETENTION.count))
  .replace('DEFAULT_AGE', String(DEFAULT_RETENTION.age))
  .replace('MESSAGE_COST', String(MESSAGE_COST))
  .replace('MOST_BYTES', String(MAX_ROOM_BYTES))
  .replace('PAGE_BYTES', String(PAGE_BYTES))
  .replace('SPARE', String(SPARE_MS));

function script(body: string): Script {
  const text = SHARED + body;
  return { text, sha: createHash('sha1').update(text).digest('hex') };
}

export const SCRIPTS = {
  /**
   * prefix, node, membership, room, user, connection, since, most members, most rooms of the user ('' for none), count,
   * age, `list` or ''. Returns the id of the last message and, with `list`, membership, user, … of all members; or why
   * it may not join. Joining again changes nothing.
   */
  enter: script(`
local node, membership, room, user, connection, since = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local mostMembers, mostRooms = tonumber(ARGV[8]), tonumber(ARGV[9])
local members = roomKey(room, 'members')
if redis.call('HEXISTS', members, membership) == 0 then
  if mostMembers and redis.call('HLEN', members) >= mostMembers then return { 'room_full' } end
  if mostRooms and redis.call('HEXISTS', key('user', user), room) == 0
    and redis.call('HLEN', key('user', user)) >= mostRooms then return { 'too_many_rooms' } end
  redis.call('HSET', members, membership, cjson.encode({ user, connection, since }))
  redis.call('HINCRBY', roomKey(room, 'nodes'), node, 1)
  redis.call('HINCRBY', key('user', user), room, 1)
  redis.call('SADD', P .. 'rooms', room)
  notify(room, { 'join', room, membership, user })
end
redis.call('HSET', key('memberships', node), membership, cjson.encode({ room, user }))
local _, last = open(room, now())
redis.call('HSET', roomKey(room, 'meta'), 'count', ARGV[10], 'age', ARGV[11])
remember(room)
return { 'ok', last, ARGV[12] == 'list' and redis.call('HGETALL', members) or {} }
`),
  /** prefix, node, membership, room, user. */
  leave: script(`
redis.call('HDEL', key('memberships', ARGV[2]), ARGV[3])
leave(ARGV[2], ARGV[3], ARGV[4], ARGV[5])
return 1
`),
  /** prefix, room, membership ('' from outside), user ('' for none), data. Returns the id. */
  publish: script(
    `
local room, membership, user, data = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local at = now()
local _, prev = open(room, at)
local log = roomKey(room, 'log')
local id = redis.call('XADD', log, '*', 'user', user, 'data', data, 'membership', membership)
redis.call('HSET', roomKey(room, 'meta'), 'last', id)
redis.call('HINCRBY', roomKey(room, 'meta'), 'bytes', cost({ 'user', user, 'data', data, 'membership', membership }))
trim(room, at)
redis.call('PEXPIRE', log, text(remember(room) + SPARE))
notify(room, { 'publish', room, id, prev, user, data, membership })
return id
`.replace('SPARE', String(SPARE_MS)),
  ),
  /** prefix, room, after, until. Returns floor, last, the first messages between, and whether there are more. */
  since: script(`
local room = ARGV[2]
local at = now()
open(room, at)
trim(room, at)
local floor, last = open(room, at)
remember(room)
local found, more = page('XRANGE', roomKey(room, 'log'), '(' .. ARGV[3], ARGV[4], math.huge)
return { floor, last, found, more }
`),
  /** prefix, room, until, count. Returns the last of the messages, newest first, and whether there are more of them. */
  last: script(`
local room = ARGV[2]
local at = now()
open(room, at)
trim(room, at)
remember(room)
local found, more = page('XREVRANGE', roomKey(room, 'log'), ARGV[3], '-', tonumber(ARGV[4]))
return { found, more }
`),
  /** prefix, room. Returns membership, user, …. */
  members: script(`return redis.call('HGETALL', roomKey(ARGV[2], 'members'))`),
  /** prefix. Returns room, number of members, …. */
  rooms: script(`
local found = {}
for _, room in ipairs(redis.call('SMEMBERS', P .. 'rooms')) do
  table.insert(found, room)
  table.insert(found, redis.call('HLEN', roomKey(room, 'members')))
end
return found
`),
  /**
   * prefix, node. Stores the node's heartbeat, and removes members of dead nodes. Returns whether the node counted as
   * live, and whether more members are to be removed.
   */
  heartbeat: script(`
local at = now()
local known = redis.call('ZSCORE', P .. 'nodes', ARGV[2]) and 1 or 0
redis.call('ZADD', P .. 'nodes', text(at + ${LEASE_MS}), ARGV[2])
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', P .. 'nodes', '-inf', '(' .. text(at), 'LIMIT', 0, 1)) do
  local memberships = redis.call('HSCAN', key('memberships', dead), 0, 'COUNT', ${REAP})[2]
  for i = 1, #memberships, 2 do
    local place = cjson.decode(memberships[i + 1])
    redis.call('HDEL', key('memberships', dead), memberships[i])
    leave(dead, memberships[i], place[1], place[2])
  end
  if redis.call('EXISTS', key('memberships', dead)) == 0 then redis.call('ZREM', P .. 'nodes', dead) end
  return { known, 1 }
end
return { known, 0 }
`),
  /** prefix, node. Removes the node. */
  end: script(`redis.call('ZREM', P .. 'nodes', ARGV[2])
return redis.call('DEL', key('memberships', ARGV[2]))`),
  /** prefix, node, call. Publishes the call to all other live nodes; returns their ids. */
  ask: script(`
local asked = {}
for _, node in ipairs(redis.call('ZRANGEBYSCORE', P .. 'nodes', text(now()), '+inf')) do
  if node ~= ARGV[2] then
    table.insert(asked, node)
    redis.call('PUBLISH', key('node', node), ARGV[3])
  end
end
return asked
`),
  /** prefix, node, reply. */
  reply: script(`return redis.call('PUBLISH', key('node', ARGV[2]), ARGV[3])`),
} as const satisfies Record<string, Script>;

export type ScriptName = keyof typeof SCRIPTS;
