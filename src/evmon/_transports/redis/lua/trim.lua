-- Trim a stream below what every group has finished, and below an age.
--
-- KEYS  1 stream
-- ARGV  1 seconds to keep, 2 how many entries to trim at the most
-- Returns how many were trimmed.
local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-?(%d*)$')
  return tonumber(ms), tonumber(seq) or 0
end

local function lower(a, b)
  local a_ms, a_seq = parts(a)
  local b_ms, b_seq = parts(b)
  if a_ms < b_ms or (a_ms == b_ms and a_seq < b_seq) then
    return a
  end
  return b
end

local now = redis.call('TIME')
local limit = string.format('%.0f', (now[1] - ARGV[1]) * 1000)
local groups = redis.call('XINFO', 'GROUPS', KEYS[1])
if #groups == 0 then
  return 0
end
for _, flat in ipairs(groups) do
  local g = {}
  for i = 1, #flat, 2 do
    g[flat[i]] = flat[i + 1]
  end
  limit = lower(limit, g['last-delivered-id'])
  if g['pending'] > 0 then
    limit = lower(limit, redis.call('XPENDING', KEYS[1], g['name'])[2])
  end
end
return redis.call('XTRIM', KEYS[1], 'MINID', '~', limit, 'LIMIT', ARGV[2])
