-- Make a group that reads a stream from its start.
--
-- KEYS  1 stream
-- ARGV  1 group
-- Fails with BUSYGROUP when it is there.
--
-- Redis counts what a group has read only from its first read on, so what is trimmed until
-- then would be missed by nobody: the count is set at once, to what is gone already.
-- Servers that do not count the entries ever added have no such count either.
redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
local flat = redis.call('XINFO', 'STREAM', KEYS[1])
local stream = {}
for i = 1, #flat, 2 do
  stream[flat[i]] = flat[i + 1]
end
local added = stream['entries-added']
if added then
  local gone = added - stream['length']
  redis.call('XGROUP', 'SETID', KEYS[1], ARGV[1], '0', 'ENTRIESREAD', gone)
end
