-- Release entries, so that any consumer can reclaim them at once.
--
-- KEYS  1 stream, 2 set of entries trimmed while this consumer held them,
--       3 set of entries reclaimed from this consumer
-- ARGV  1 group, 2 consumer, 3 lease in ms, 4 how many of the ids are certainly not
--       settled, 5… ids, those first
-- Returns how many were trimmed and so cannot be released.
local trimmed = 0
for i = 5, #ARGV do
  local id = ARGV[i]
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1)[1]
  local orphan = not pending
    and i < 5 + tonumber(ARGV[4])
    and orphaned(id, 3)
  if redis.call('SREM', KEYS[2], KEYS[1] .. ' ' .. id) == 1 then
    trimmed = trimmed + 1
  elseif orphan or pending and pending[2] == ARGV[2] then
    trimmed = trimmed + 1 - #redis.call('XRANGE', KEYS[1], id, id)
    -- An orderly stop must not bring the entry closer to its delivery limit.
    local deliveries = math.max((pending and pending[4] or 1) - 1, 1)
    redis.call(
      'XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id, 'IDLE', ARGV[3],
      'RETRYCOUNT', deliveries, 'FORCE', 'JUSTID')
  end
end
return trimmed
