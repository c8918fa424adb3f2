-- How a stream and one of its groups stand. Everything asked here is quick whatever the
-- stream's length, so that every consumer can ask it every few seconds.
--
-- KEYS  1 stream
-- ARGV  1 group
-- Returns time in ms, length, lag (-1: not known), pending, the time in ms of the oldest
-- pending and of the oldest unread entry (0: none), and how many entries were trimmed
-- before the group had read them.
--
-- The last: Redis counts the entries ever added and those that the group has read. Where
-- the difference is more than what is left to read, somebody trimmed the rest. The group's
-- count is set right at once, so a loss is told to one asker only, and the lag, which Redis
-- computes from that count, is true again.
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
local oldest = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1)[1]
return {
  time, stream['length'], lag or -1, group['pending'],
  oldest and ms(oldest[1]) or 0, unread and ms(unread[1]) or 0, trimmed,
}
