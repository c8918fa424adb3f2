-- Create a group that reads a stream from its start.
--
-- KEYS  1 stream
-- ARGV  1 group
-- Fails with BUSYGROUP if the group exists.
--
-- Redis sets the group's count of read entries at its first read. Entries trimmed before
-- that would not count as lost, so the count is set here, to the entries already trimmed.
-- Servers without 'entries-added' have no such count.
redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
local flat = redis.call('XINFO', 'STREAM', KEYS[1])
local stream = {}
for i = 1, #flat, 2 do
  stream[flat[i]] = flat[i + 1]
end
local added = stream['entries-added']
if added then
  local trimmed = added - stream['length']
  redis.call('XGROUP', 'SETID', KEYS[1], ARGV[1], '0', 'ENTRIESREAD', trimmed)
end
