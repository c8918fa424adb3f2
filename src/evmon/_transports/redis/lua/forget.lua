-- Delete idle consumers of a group that have no pending entries.
--
-- KEYS  1 stream
-- ARGV  1 group, 2 idle time in ms, 3 name of the only consumer to delete ('': any)
-- Returns how many were deleted.
--
-- A script, because XGROUP DELCONSUMER discards the pending entries of the consumer: there
-- must be none at that moment.
local deleted = 0
for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for i = 1, #flat, 2 do
    consumer[flat[i]] = flat[i + 1]
  end
  local selected = ARGV[3] == '' or ARGV[3] == consumer['name']
  if selected and consumer['pending'] == 0 and consumer['idle'] >= tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer['name'])
    deleted = deleted + 1
  end
end
return deleted
