-- Renew the leases of the entries that a consumer holds.
--
-- KEYS  1 stream, 2 set of entries trimmed while this consumer held them,
--       3 set of entries reclaimed from this consumer
-- ARGV  1 group, 2 consumer, 3 seconds to keep the set of trimmed entries, 4… ids
-- Returns the ids that another consumer reclaimed, and those that were trimmed.
--
-- XCLAIM drops a trimmed entry, so nobody else can get it. It is recorded in the same step
-- that this consumer still holds it, because its handler may still fail. An id that is
-- pending nowhere was finished, is recorded as trimmed, was removed by hand, or its group
-- is gone: it has no lease.
local reclaimed, trimmed = {}, {}
for i = 4, #ARGV do
  local id = ARGV[i]
  local member = KEYS[1] .. ' ' .. id
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1)[1]
  if pending then
    if pending[2] ~= ARGV[2] then
      reclaimed[#reclaimed + 1] = id
    elseif #redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id, 'JUSTID') == 0 then
      trimmed[#trimmed + 1] = id
      redis.call('SADD', KEYS[2], member)
      redis.call('EXPIRE', KEYS[2], ARGV[3])
    end
  elseif redis.call('SISMEMBER', KEYS[3], member) == 1 then
    reclaimed[#reclaimed + 1] = id
  end
end
return {reclaimed, trimmed}
