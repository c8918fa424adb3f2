-- Take over entries whose consumer was silent for too long.
--
-- KEYS  1 stream
-- ARGV  1 group, 2 consumer, 3 silence in ms, 4 cursor, 5 how many at the most
-- Returns the next cursor, {id, fields, deliveries} of each entry, and the ids of those
-- that were trimmed while they were pending.
local reply =
  redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], 'COUNT', ARGV[5])
local entries = {}
for _, entry in ipairs(reply[2]) do
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], entry[1], entry[1], 1)
  entries[#entries + 1] = {entry[1], entry[2], pending[1] and pending[1][4] or 1}
end
return {reply[1], entries, reply[3]}
