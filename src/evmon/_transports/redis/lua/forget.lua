-- Delete consumers of a group that hold nothing.
--
-- KEYS  1 stream
-- ARGV  1 group, 2 silence in ms after which one is forgotten, 3 the one to forget (all: '')
-- Returns how many were deleted.
--
-- XGROUP DELCONSUMER throws away what is pending under the name: never outside a script
-- that has looked.
local forgotten = 0
for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local c = {}
  for i = 1, #flat, 2 do
    c[flat[i]] = flat[i + 1]
  end
  local chosen = ARGV[3] == '' or ARGV[3] == c['name']
  if chosen and c['pending'] == 0 and c['idle'] >= tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], c['name'])
    forgotten = forgotten + 1
  end
end
return forgotten
