-- Trim entries that are old enough and that every group has finished.
--
-- KEYS  1 stream
-- ARGV  1 seconds to keep entries, 2 maximum number of entries to trim
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
  local group = {}
  for i = 1, #flat, 2 do
    group[flat[i]] = flat[i + 1]
  end
  limit = lower(limit, group['last-delivered-id'])
  if group['pending'] > 0 then
    limit = lower(limit, redis.call('XPENDING', KEYS[1], group['name'])[2])
  end
end
return redis.call('XTRIM', KEYS[1], 'MINID', '~', limit, 'LIMIT', ARGV[2])
