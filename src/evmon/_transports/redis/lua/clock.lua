-- Read the server's clock, and record that it was set.
--
-- KEYS  1 what is known of the clock, 2 retry schedule
-- ARGV  1 ms by which the clock was set so far, as far as the caller knows,
--       2 ms by which it was set now (0: it was not)
-- Returns the time in ms, the ms by which it was set so far, the greatest time seen, both
-- times without what it was set by, and the last step and the time of ids up to which ages
-- are wrong by it (0: none).
--
-- The first of several callers that notice a step records it, and moves the schedule with it.
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
local function known(name)
  return tonumber(redis.call('HGET', KEYS[1], name) or 0)
end

local set_by, seen, step = known('set_by'), known('seen'), tonumber(ARGV[2])
if step ~= 0 and tonumber(ARGV[1]) == set_by then
  local retries = redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')
  for i = 1, #retries, 2 do
    redis.call('ZADD', KEYS[2], string.format('%.0f', retries[i + 1] + step), retries[i])
  end
  set_by = set_by + step
  redis.call(
    'HSET', KEYS[1], 'set_by', set_by, 'step', step,
    'wrong_to', string.format('%.0f', math.max(now_ms, now_ms - step)))
end
if now_ms - set_by > seen then
  -- Fails without memory, which is harmless.
  redis.pcall('HSET', KEYS[1], 'seen', string.format('%.0f', now_ms - set_by))
end
return {now_ms, set_by, seen, known('step'), known('wrong_to')}
