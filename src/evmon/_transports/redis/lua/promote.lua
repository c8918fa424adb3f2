-- Move due retries from the schedule to their streams.
--
-- KEYS  1 retry schedule, 2 entries of the scheduled retries, 3 dead letters,
--       4 stream of the service, 5… additional streams
-- ARGV  1 maximum number to move
-- Returns how many were moved, and how many of them, not written by evmon, became dead
-- letters; or the first error, after the other retries have been moved.
--
-- A retry of another stream of the service, which only other processes read or none any more,
-- moves to the stream of the service, which every consumer reads.
--
-- Other programs may write to the schedule: such a retry must not stop those after it.
local streams = {}
for i = 4, #KEYS do
  streams[KEYS[i]] = i
end

-- The number of the stream in KEYS, and the fields; nil if evmon has not written the retry.
local function parse(packed)
  local readable, entry = pcall(cmsgpack.unpack, packed)
  if not readable or type(entry) ~= 'table' or type(entry[2]) ~= 'table' then
    return nil
  end
  local stream, fields = entry[1], entry[2]
  local own = type(stream) == 'string'
    and (streams[stream] or string.sub(stream, 1, #KEYS[4] + 1) == KEYS[4] .. ':')
  if not own or #fields == 0 or #fields % 2 == 1 or #fields > 7000 then
    return nil
  end
  for i = 1, #fields do
    if type(fields[i]) ~= 'string' then
      return nil
    end
  end
  return streams[stream] or 4, fields
end

local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now_ms, 'LIMIT', 0, ARGV[1])
local unreadable, failure = 0, nil
for _, member in ipairs(due) do
  local packed = redis.call('HGET', KEYS[2], member)
  local done, target
  if packed then
    local stream, fields = parse(packed)
    target = stream or 3
    if stream then
      done = redis.pcall('XADD', KEYS[stream], '*', unpack(fields))
    else
      unreadable = unreadable + 1
      done = redis.pcall(
        'XADD', KEYS[3], '*', 'retry', member, 'entry', packed,
        'dead.reason', 'unreadable',
        'dead.error_message', 'a scheduled retry that cannot be read')
    end
  end
  if type(done) == 'table' and done.err then
    failure = failure or redis.error_reply(done.err .. ' (' .. KEYS[target] .. ')')
  else
    redis.call('HDEL', KEYS[2], member)
    redis.call('ZREM', KEYS[1], member)
  end
end
return failure or {#due, unreadable}
