-- End a pending entry that is not simply done: atomically, once, and only if it is ours.
--
-- KEYS  1 stream, 2 dead letters, 3 retry schedule, 4 what is scheduled,
--       5 what was trimmed while this consumer held it, 6 what was taken over from it
-- ARGV  1 group, 2 consumer, 3 id, 4 how many may be scheduled,
--       5 seconds to remember that an orphan is ended here, 0 when it is not to be,
--       6 how many of the rest make the dead letter (0: none), then its fields and values,
--       then, when it is scheduled, the delay in ms and the fields and values of its next try
-- Returns 1, or 0 when the entry is not with this consumer any more: neither pending nor
-- noted by a renewal, which finds out what was trimmed. Returns -1 for an orphan.
--
-- That an orphan is ended has to be noted, for it leaves no other trace: a second try must
-- not do it again.
--
-- What Redis may refuse for want of memory comes before XACK, so that nothing is acked
-- that did not arrive elsewhere.
local noted = KEYS[1] .. ' ' .. ARGV[3]
local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1)[1]
local ours = pending and pending[2] == ARGV[2]
  or redis.call('SISMEMBER', KEYS[5], noted) == 1
local orphan = false
if not ours then
  if pending or not orphaned(KEYS[1], ARGV[1], ARGV[3], KEYS[6]) then
    return 0
  end
  if ARGV[5] == '0' then
    return -1
  end
  orphan = true
end
local dead = tonumber(ARGV[6])
local at = 7 + dead
if ARGV[at] then
  if redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[4]) then
    return redis.error_reply('FULL the retry schedule holds ' .. ARGV[4] .. ' events')
  end
  local member = KEYS[1] .. ' ' .. ARGV[1] .. ' ' .. ARGV[3]
  local fields = {}
  for i = at + 1, #ARGV do
    fields[#fields + 1] = ARGV[i]
  end
  local now = redis.call('TIME')
  local due = now[1] * 1000 + math.floor(now[2] / 1000) + tonumber(ARGV[at])
  redis.call('HSET', KEYS[4], member, cmsgpack.pack({KEYS[1], fields}))
  redis.call('ZADD', KEYS[3], due, member)
end
if dead > 0 then
  redis.call('XADD', KEYS[2], '*', unpack(ARGV, 7, 6 + dead))
end
redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
redis.call('SREM', KEYS[5], noted)
if orphan then
  redis.call('SADD', KEYS[6], noted)
  redis.call('EXPIRE', KEYS[6], ARGV[5])
end
return 1
