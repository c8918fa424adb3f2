-- Acknowledge an entry and dead-letter it, schedule a retry, or both.
--
-- KEYS  1 stream, 2 dead letters, 3 retry schedule, 4 entries of the scheduled retries,
--       5 set of entries trimmed while this consumer held them,
--       6 set of entries reclaimed from this consumer
-- ARGV  1 group, 2 consumer, 3 id, 4 maximum number of scheduled retries,
--       5 seconds to record that an orphan was settled, 0 to leave orphans alone,
--       6 number of arguments that follow for the dead letter (0: none), then its fields
--       and values, then, for a retry, the delay in ms and its fields and values
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
  if pending or not orphaned(KEYS[1], ARGV[1], id, KEYS[6]) then
    return 0
  end
  if ARGV[5] == '0' then
    return -1
  end
  orphan = true
end
local dead = tonumber(ARGV[6])
local delay_at = 7 + dead
if ARGV[delay_at] then
  if redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[4]) then
    return redis.error_reply('FULL the retry schedule holds ' .. ARGV[4] .. ' events')
  end
  local retry = KEYS[1] .. ' ' .. ARGV[1] .. ' ' .. id
  local fields = {}
  for i = delay_at + 1, #ARGV do
    fields[#fields + 1] = ARGV[i]
  end
  local now = redis.call('TIME')
  local due = now[1] * 1000 + math.floor(now[2] / 1000) + tonumber(ARGV[delay_at])
  redis.call('HSET', KEYS[4], retry, cmsgpack.pack({KEYS[1], fields}))
  redis.call('ZADD', KEYS[3], due, retry)
end
if dead > 0 then
  redis.call('XADD', KEYS[2], '*', unpack(ARGV, 7, 6 + dead))
end
redis.call('XACK', KEYS[1], ARGV[1], id)
redis.call('SREM', KEYS[5], member)
if orphan then
  redis.call('SADD', KEYS[6], member)
  redis.call('EXPIRE', KEYS[6], ARGV[5])
end
return 1
