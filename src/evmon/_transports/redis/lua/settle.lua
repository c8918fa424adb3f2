-- Acknowledge an entry, store its dead letters and schedule its retries.
--
-- KEYS  1 stream, 2 dead letters, 3 retry schedule, 4 entries of the scheduled retries,
--       5 set of entries trimmed while this consumer held them,
--       6 set of entries reclaimed from this consumer
-- ARGV  1 group, 2 consumer, 3 id, 4 maximum number of scheduled retries,
--       5 seconds to record that an orphan was settled, 0 to leave orphans alone,
--       6 number of dead letters, then for each the number of its fields and values, and
--       these; then for each retry the delay in ms, the number of its fields and values, and
--       these
-- Returns 1, 0 if this consumer does not own the entry any more (it is neither pending for
-- it nor recorded as trimmed), or -1 for an orphan left alone.
--
-- A settled orphan is added to the set of reclaimed entries, so that a repeated call does
-- not settle it twice.
--
-- Commands that a server without memory refuses come before XACK, so that nothing is
-- acknowledged that was not stored elsewhere.
local id = ARGV[3]
local member = KEYS[1] .. ' ' .. id
local pending = redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1)[1]
local owned = pending and pending[2] == ARGV[2]
  or redis.call('SISMEMBER', KEYS[5], member) == 1
local orphan = false
if not owned then
  if pending or not orphaned(id, 6) then
    return 0
  end
  if ARGV[5] == '0' then
    return -1
  end
  orphan = true
end
local at = 7
local letters = {}
for _ = 1, tonumber(ARGV[6]) do
  local last = at + tonumber(ARGV[at])
  letters[#letters + 1] = {at + 1, last}
  at = last + 1
end
if ARGV[at] and redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[4]) then
  return redis.error_reply('FULL the retry schedule holds ' .. ARGV[4] .. ' events')
end
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
local retry = KEYS[1] .. ' ' .. ARGV[1] .. ' ' .. id
local number = 1
while ARGV[at] do
  local last = at + 1 + tonumber(ARGV[at + 1])
  local fields = {}
  for i = at + 2, last do
    fields[#fields + 1] = ARGV[i]
  end
  local name = number == 1 and retry or retry .. ' ' .. number
  redis.call('HSET', KEYS[4], name, cmsgpack.pack({KEYS[1], fields}))
  redis.call('ZADD', KEYS[3], now_ms + tonumber(ARGV[at]), name)
  number = number + 1
  at = last + 1
end
for _, letter in ipairs(letters) do
  redis.call('XADD', KEYS[2], '*', unpack(ARGV, letter[1], letter[2]))
end
redis.call('XACK', KEYS[1], ARGV[1], id)
redis.call('SREM', KEYS[5], member)
if orphan then
  redis.call('SADD', KEYS[6], member)
  redis.call('EXPIRE', KEYS[6], ARGV[5])
end
return 1
