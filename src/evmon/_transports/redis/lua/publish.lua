-- Append a batch of events, once however often it is tried.
--
-- KEYS  1 the producer's memory, 2… the streams
-- ARGV  1 ticket of the batch (0: none), 2 seconds to remember it,
--       then for each stream: how many events, and the events
-- Returns 1 when they were appended now, 0 when an earlier try had done it.
--
-- A producer sends one batch at a time, and its tickets rise, so its last one is all there
-- is to remember: a try with none above it is of a batch that is over, however late it comes.
-- The batch is all or nothing: Redis refuses the first XADD when it is out of memory,
-- and none after it; a key of another type is looked for before anything is written.
local ticket = tonumber(ARGV[1])
if ticket > 0 and ticket <= tonumber(redis.call('GET', KEYS[1]) or 0) then
  -- WAIT waits for what its own connection wrote: without a write it would be content
  -- with replicas that have not seen what an earlier try wrote over another one.
  redis.call('EXPIRE', KEYS[1], ARGV[2])
  return 0
end
if #KEYS > 2 then
  for s = 2, #KEYS do
    local kind = redis.call('TYPE', KEYS[s]).ok
    if kind ~= 'stream' and kind ~= 'none' then
      return redis.error_reply('WRONGTYPE ' .. KEYS[s] .. ' is a ' .. kind)
    end
  end
end
local at = 3
for s = 2, #KEYS do
  local last = at + tonumber(ARGV[at])
  for i = at + 1, last do
    redis.call('XADD', KEYS[s], '*', 'event', ARGV[i])
  end
  at = last + 1
end
if ticket > 0 then
  redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
end
return 1
