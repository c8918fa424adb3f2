-- Give entries back: whoever reclaims next may take them at once.
--
-- KEYS  1 stream, 2 what was trimmed while this consumer held it,
--       3 what was taken over from it
-- ARGV  1 group, 2 consumer, 3 silence in ms that makes an entry free,
--       4 how many of the ids are certainly not ended, 5… ids, those first
-- Returns how many cannot be given back, because they were trimmed.
local trimmed = 0
for i = 5, #ARGV do
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)[1]
  local orphan = not pending
    and i < 5 + tonumber(ARGV[4])
    and orphaned(KEYS[1], ARGV[1], ARGV[i], KEYS[3])
  if redis.call('SREM', KEYS[2], KEYS[1] .. ' ' .. ARGV[i]) == 1 then
    trimmed = trimmed + 1
  elseif orphan or pending and pending[2] == ARGV[2] then
    local there = #redis.call('XRANGE', KEYS[1], ARGV[i], ARGV[i])
    trimmed = trimmed + 1 - there
    -- A stop in order is no crash: it does not bring the entry nearer to its last delivery.
    local deliveries = math.max((pending and pending[4] or 1) - 1, 1)
    redis.call(
      'XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'IDLE', ARGV[3],
      'RETRYCOUNT', deliveries, 'FORCE', 'JUSTID')
  end
end
return trimmed
