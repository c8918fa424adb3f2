-- Move dead letters back to their streams.
--
-- KEYS  1 dead letters, 2… streams
-- ARGV  for each dead letter: its id, the index of its stream in KEYS, the number of fields
--       and values of the new entry, and these
-- Returns for each 1, 0 if it no longer exists, or why it was refused.
local results = {}
local at = 1
while ARGV[at] do
  local s, last = tonumber(ARGV[at + 1]), at + 2 + tonumber(ARGV[at + 2])
  local result = 0
  if #redis.call('XRANGE', KEYS[1], ARGV[at], ARGV[at]) > 0 then
    local added = redis.pcall('XADD', KEYS[s], '*', unpack(ARGV, at + 3, last))
    if type(added) == 'table' and added.err then
      result = added.err .. ' (' .. KEYS[s] .. ')'
    else
      redis.call('XDEL', KEYS[1], ARGV[at])
      result = 1
    end
  end
  results[#results + 1] = result
  at = last + 1
end
return results
