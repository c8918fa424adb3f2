-- Give entries back: whoever reclaims next may take them at once.
--
-- KEYS  1 stream, 2 what was trimmed while this consumer held it
-- ARGV  1 group, 2 consumer, 3 silence in ms that makes an entry free, 4… ids
-- Returns how many cannot be given back, because they were trimmed.
local trimmed = 0
for i = 4, #ARGV do
  if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2]) > 0 then
    local free = redis.call(
      'XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'IDLE', ARGV[3], 'JUSTID')
    trimmed = trimmed + 1 - #free
  else
    trimmed = trimmed + redis.call('SREM', KEYS[2], KEYS[1] .. ' ' .. ARGV[i])
  end
end
return trimmed
