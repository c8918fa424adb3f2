-- Append a batch of events, once however often it is sent.
--
-- KEYS  1 last ticket of the producer, 2… streams
-- ARGV  1 ticket of the batch (0: none), 2 seconds to keep the ticket,
--       then for each stream: number of events, and the events
-- Returns 1 if they were appended now, 0 if an earlier attempt appended them.
--
-- A producer sends one batch at a time, with increasing tickets. So a ticket that is not
-- above the last one belongs to a batch that was appended.
-- The batch is appended whole or not at all: Redis refuses the first XADD when it is out of
-- memory, and none after it; the type of every key is checked before the first.
local ticket = tonumber(ARGV[1])
if ticket > 0 and ticket <= tonumber(redis.call('GET', KEYS[1]) or 0) then
  -- WAIT waits for the last write of its own connection. The earlier attempt may have used
  -- another connection, so this one must write too.
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
