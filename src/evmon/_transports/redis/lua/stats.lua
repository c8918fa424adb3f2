-- How a stream and one of its groups stand. Everything asked here is quick whatever the
-- stream's length, so that every consumer can ask it every few seconds.
--
-- KEYS  1 stream, 2 the runs of the server whose counts can be believed
-- ARGV  1 group
-- Returns time in ms, length, lag (-1: not known), pending, the time in ms of the oldest
-- pending and of the oldest unread entry (0: none), and how many entries were trimmed
-- before the group had read them.
--
-- The last: Redis counts the entries ever added and those that the group has read. Where
-- the difference is more than what is left to read, somebody trimmed the rest. The group's
-- count is set right at once, so a loss is told to one asker only, and the lag, which Redis
-- computes from that count, is true again.
--
-- Redis 7 forgets, when it is restarted or a replica takes over, what the group read since
-- its append-only file was last rewritten. In a new run its count is put right, as soon as
-- it is known by what: when nothing is left to read, or nothing was read. Until then, the
-- lag is not known, and what was trimmed meanwhile is not told.
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
local time = now[1] * 1000 + math.floor(now[2] / 1000)
local stream = map(redis.call('XINFO', 'STREAM', KEYS[1]))
local group
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local g = map(flat)
  if g['name'] == ARGV[1] then
    group = g
  end
end
if not group then
  return redis.error_reply('NOGROUP ' .. ARGV[1] .. ' is gone')
end

local server = redis.pcall('INFO', 'server')
local run = type(server) == 'string' and string.match(server, 'run_id:(%x+)')
local field = KEYS[1] .. ' ' .. ARGV[1]
local believed = run and redis.call('HGET', KEYS[2], field)
local forgetful = run and string.find(server, 'redis_version:7.', 1, true)
  and not string.find(server, 'server_name:valkey', 1, true)
local in_doubt = forgetful and believed and believed ~= run

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
local certain = not unread or unread[1] == stream['first-entry'][1]
if in_doubt then
  trimmed = 0
  lag = certain and lag or nil
end
if run and believed ~= run and (certain or not in_doubt) then
  redis.pcall('HSET', KEYS[2], field, run)  -- not worth an error when memory is full
end
local oldest = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1)[1]
return {
  time, stream['length'], lag or -1, group['pending'],
  oldest and ms(oldest[1]) or 0, unread and ms(unread[1]) or 0, trimmed,
}
