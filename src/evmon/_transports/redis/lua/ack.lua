-- Acknowledge the entries that this consumer still owns.
--
-- KEYS  1 stream
-- ARGV  1 group, 2 consumer, 3… ids
-- Returns how many were acknowledged, and the ids of those that another consumer owns.
--
-- A process that was frozen for longer than its lease, or whose command reached the server
-- that late, must not remove an entry from the list of the consumer that reclaimed it.
--
-- The consumer's own entries are listed at once, which is faster than to ask for each; any
-- that the list does not reach are asked for.
local count = #ARGV - 2
local own = {}
local listed = redis.pcall(
  'XPENDING', KEYS[1], ARGV[1], '-', '+', count < 8 and 1 or 2 * count, ARGV[2])
if listed.err then
  -- Without its group, nothing is pending.
  return string.find(listed.err, '^NOGROUP') and {0, {}} or listed
end
for _, row in ipairs(listed) do
  own[row[1]] = true
end
local acked, reclaimed, owned = 0, {}, {}
for i = 3, #ARGV do
  local id = ARGV[i]
  if not own[id] then
    local pending = redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1)[1]
    if pending and pending[2] == ARGV[2] then
      own[id] = true
    elseif pending then
      reclaimed[#reclaimed + 1] = id
    end
  end
  if own[id] then
    owned[#owned + 1] = id
  end
  if #owned == 1000 or i == #ARGV and #owned > 0 then
    acked = acked + redis.call('XACK', KEYS[1], ARGV[1], unpack(owned))
    owned = {}
  end
end
return {acked, reclaimed}
