-- Renew the leases of what a consumer holds, and of nothing that another one took over.
--
-- KEYS  1 stream, 2 what was trimmed while this consumer held it,
--       3 what was taken over from it
-- ARGV  1 group, 2 consumer, 3 seconds to remember that, 4… ids
-- Returns the ids that another consumer took over, and those that were trimmed.
--
-- XCLAIM drops what was trimmed, so nobody else can get it any more; that it is ours still
-- is noted in the same step, for the one who handles it goes on and may fail. An id that
-- is pending under nobody was finished, or noted so, or thrown away by hand, or the group
-- is gone: there is no lease left to lose.
local taken, trimmed = {}, {}
for i = 4, #ARGV do
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)[1]
  if pending then
    if pending[2] ~= ARGV[2] then
      taken[#taken + 1] = ARGV[i]
    elseif #redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID') == 0 then
      trimmed[#trimmed + 1] = ARGV[i]
      redis.call('SADD', KEYS[2], KEYS[1] .. ' ' .. ARGV[i])
      redis.call('EXPIRE', KEYS[2], ARGV[3])
    end
  elseif redis.call('SISMEMBER', KEYS[3], KEYS[1] .. ' ' .. ARGV[i]) == 1 then
    taken[#taken + 1] = ARGV[i]
  end
end
return {taken, trimmed}
