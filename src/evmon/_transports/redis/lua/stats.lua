-- Measure a stream and one of its groups. Every command is fast however long the stream is.
--
-- KEYS  1 stream, 2 hash of the server run in which each group's counter was verified
-- ARGV  1 group
-- Returns the time in ms, length, lag (-1: unknown), pending entries, the times in ms of
-- the oldest pending and the oldest unread entry (0: none), and the number of entries that
-- were trimmed before the group read them.
--
-- Redis counts the entries ever added, and those that the group has read. If the difference
-- exceeds what is left to read, the rest was trimmed unread. The group's counter is then
-- corrected, so a loss is reported to one caller only, and the lag that Redis computes from
-- the counter is right again.
--
-- After a restart or a failover, the counter in Redis 7 lacks what the group has read since
-- the append-only file was last rewritten. So in a new run of the server the counter is
-- verified first, which is possible when nothing is left to read, or nothing was read.
-- Until then the lag is unknown, and trimmed entries are not reported.
local function map(flat)
  local m = {}
  for i = 1, #flat, 2 do
    m[flat[i]] = flat[i + 1]
  end
  return m
end

local function ms(id)
  return tonumber(string.match(id, '^%d+'))
end

local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
local stream = map(redis.call('XINFO', 'STREAM', KEYS[1]))
local group
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local info = map(flat)
  if info['name'] == ARGV[1] then
    group = info
  end
end
if not group then
  return redis.error_reply('NOGROUP ' .. ARGV[1] .. ' is gone')
end

local server = redis.pcall('INFO', 'server')
local run = type(server) == 'string' and string.match(server, 'run_id:(%x+)')
local field = KEYS[1] .. ' ' .. ARGV[1]
local verified_run = run and redis.call('HGET', KEYS[2], field)
local loses_counts = run and string.find(server, 'redis_version:7.', 1, true)
  and not string.find(server, 'server_name:valkey', 1, true)
local unverified = loses_counts and verified_run and verified_run ~= run

local delivered = group['last-delivered-id']
local unread = redis.call('XRANGE', KEYS[1], '(' .. delivered, '+', 'COUNT', 1)[1]
local added, read = stream['entries-added'], group['entries-read']
local trimmed, lag = 0, group['lag']
if added and read then
  if not unread then
    trimmed = added - read
  elseif unread[1] == stream['first-entry'][1] then
    trimmed = added - stream['length'] - read
  end
end
if trimmed > 0 then
  redis.call('XGROUP', 'SETID', KEYS[1], ARGV[1], delivered, 'ENTRIESREAD', read + trimmed)
  lag = added - read - trimmed
else
  trimmed = 0
end
if not unread then
  lag = 0
end
local verifiable = not unread or unread[1] == stream['first-entry'][1]
if unverified then
  trimmed = 0
  lag = verifiable and lag or nil
end
if run and verified_run ~= run and (verifiable or not unverified) then
  redis.pcall('HSET', KEYS[2], field, run)  -- fails without memory, which is harmless
end
local oldest = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1)[1]
return {
  now_ms, stream['length'], lag or -1, group['pending'],
  oldest and ms(oldest[1]) or 0, unread and ms(unread[1]) or 0, trimmed,
}
