-- Renew the leases of what a consumer holds, and of nothing that another one took over.
--
-- KEYS  1 stream
-- ARGV  1 group, 2 consumer, 3… ids
-- Returns the ids that are pending under another consumer now.
--
-- An id that is pending under nobody was finished, or trimmed, or the group is gone: there
-- is no lease left to lose, and the one who handles it goes on.
local taken = {}
for i = 3, #ARGV do
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)[1]
  if pending then
    if pending[2] == ARGV[2] then
      redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')
    else
      taken[#taken + 1] = ARGV[i]
    end
  end
end
return taken
