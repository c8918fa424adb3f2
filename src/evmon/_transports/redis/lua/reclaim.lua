-- Take over entries whose consumer was silent for too long.
--
-- KEYS  1 stream, 2 what is before a consumer's name in the key of what was taken from it
-- ARGV  1 group, 2 consumer, 3 silence in ms, 4 cursor, 5 how many at the most,
--       6 seconds to remember what was taken, 7 deliveries that make an entry a suspect,
--       8 how many suspects to take
-- Returns the next cursor, {id, fields, deliveries} of each entry, the ids of those that
-- were trimmed while they were pending, and how many suspects were left.
--
-- Not XAUTOCLAIM: it drops what was trimmed without a look at the silence, and so would
-- tell as lost what another consumer is about to finish. XCLAIM drops it as well: what we
-- hold ourselves, and could not renew in time, is left to a renewal, which notes it as ours.
--
-- What is taken is noted for the one that had it: once we have finished it, it is pending
-- under nobody, and must not look as if it had been thrown away.
local pending = redis.call(
  'XPENDING', KEYS[1], ARGV[1], 'IDLE', ARGV[3], ARGV[4], '+', ARGV[5])
local entries, trimmed = {}, {}
local room, left = tonumber(ARGV[8]), 0
for _, p in ipairs(pending) do
  local suspect = p[4] + 1 >= tonumber(ARGV[7])
  if suspect and room == 0 then
    left = left + 1
  elseif p[2] ~= ARGV[2] or #redis.call('XRANGE', KEYS[1], p[1], p[1]) > 0 then
    local entry = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], p[1])[1]
    local noted = KEYS[1] .. ' ' .. p[1]
    if p[2] ~= ARGV[2] then
      redis.call('SADD', KEYS[2] .. p[2], noted)
      redis.call('EXPIRE', KEYS[2] .. p[2], ARGV[6])
      redis.call('SREM', KEYS[2] .. ARGV[2], noted)
    end
    room = suspect and room - 1 or room
    if entry then
      entries[#entries + 1] = {p[1], entry[2], p[4] + 1}
    else
      trimmed[#trimmed + 1] = p[1]
    end
  end
end
local more = #pending == tonumber(ARGV[5])
return {more and '(' .. pending[#pending][1] or '0-0', entries, trimmed, left}
