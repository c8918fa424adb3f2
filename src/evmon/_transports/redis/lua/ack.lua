-- Acknowledge the entries that this consumer still owns.
--
-- KEYS  1 stream
-- ARGV  1 group, 2 consumer, 3… ids
-- Returns the ids that another consumer owns; these are not acknowledged.
--
-- A process that was frozen for longer than its lease, or whose command reached the server
-- that late, must not remove an entry from the list of the consumer that reclaimed it.
local reclaimed = {}
for i = 3, #ARGV do
  local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)
  if pending.err then
    -- Without its group, nothing is pending.
    return string.find(pending.err, '^NOGROUP') and {} or pending
  end
  if pending[1] and pending[1][2] == ARGV[2] then
    redis.call('XACK', KEYS[1], ARGV[1], ARGV[i])
  elseif pending[1] then
    reclaimed[#reclaimed + 1] = ARGV[i]
  end
end
return reclaimed
