-- Append events of a batch, each once however often it is sent.
--
-- KEYS  1 last ticket of the producer, 2… streams
-- ARGV  1 ticket of the batch (0: none), 2 seconds to keep the ticket,
--       3 number of events of the batch before these, then runs of events of one stream, in
--       the order of the batch: index of the stream in KEYS, number of events, and the events
-- Returns how many were appended now; the others were appended by earlier attempts.
--
-- A producer sends one batch at a time, with increasing tickets, and the events of a batch in
-- order. So the last ticket and the number of its events that were appended tell which of
-- these are missing, also if an earlier attempt, with more of them, arrives late.
-- An attempt is appended whole or not at all: Redis refuses the first XADD when it is out of
-- memory, and none after it; the type of every key is checked before the first.
local ticket, first = tonumber(ARGV[1]), tonumber(ARGV[3])
local total, at = 0, 4
while ARGV[at] do
  total = total + tonumber(ARGV[at + 1])
  at = at + 2 + tonumber(ARGV[at + 1])
end
local present = 0
if ticket > 0 then
  local last, appended = string.match(redis.call('GET', KEYS[1]) or '0:0', '^(%d+):(%d+)$')
  last, appended = tonumber(last) or 0, tonumber(appended) or 0
  if ticket < last then
    present = total
  elseif ticket == last then
    present = appended - first
  end
end
if present >= total then
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
local number = 0
at = 4
while ARGV[at] do
  local s, last = tonumber(ARGV[at]), at + 1 + tonumber(ARGV[at + 1])
  for i = at + 2, last do
    number = number + 1
    if number > present then
      redis.call('XADD', KEYS[s], '*', 'event', ARGV[i])
    end
  end
  at = last + 1
end
if ticket > 0 then
  redis.call('SET', KEYS[1], ARGV[1] .. ':' .. first + total, 'EX', ARGV[2])
end
return total - math.max(present, 0)
