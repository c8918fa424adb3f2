-- Move due retries from the schedule to their streams.
--
-- KEYS  1 retry schedule, 2 entries of the scheduled retries
-- ARGV  1 maximum number to move
-- Returns how many were moved.
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now_ms, 'LIMIT', 0, ARGV[1])
for _, member in ipairs(due) do
  local packed = redis.call('HGET', KEYS[2], member)
  if packed then
    local entry = cmsgpack.unpack(packed)
    redis.call('XADD', entry[1], '*', unpack(entry[2]))
    redis.call('HDEL', KEYS[2], member)
  end
  redis.call('ZREM', KEYS[1], member)
end
return #due
