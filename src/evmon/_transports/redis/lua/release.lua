-- Give entries back: whoever reclaims next may take them at once.
--
-- KEYS  1 stream
-- ARGV  1 group, 2 consumer, 3 silence in ms that makes an entry free, 4… ids
-- Returns how many were given back.
local released = 0
for i = 4, #ARGV do
  if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2]) > 0 then
    redis.call(
      'XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'IDLE', ARGV[3], 'JUSTID')
    released = released + 1
  end
end
return released
