-- Acknowledge the entries that this consumer still owns.
--
-- KEYS  1 stream
-- ARGV  1 group, 2 consumer, 3… ids
-- Returns how many were acknowledged, and the ids of those that another consumer owns.
--
-- A process that was frozen for longer than its lease, or whose command reached the server
-- that late, must not remove an entry from the list of the consumer that reclaimed it.
local acked, reclaimed = 0, {}
for i = 3, #ARGV do
  local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)
  if pending.err then
    -- Without its group, nothing is pending.
    return string.find(pending.err, '^NOGROUP') and {0, {}} or pending
  end
  if pending[1] and pending[1][2] == ARGV[2] then
    acked = acked + redis.call('XACK', KEYS[1], ARGV[1], ARGV[i])
  elseif pending[1] then
    reclaimed[#reclaimed + 1] = ARGV[i]
  end
end
return {acked, reclaimed}
