-- Put a dead letter back into its stream, and take it from the dead letters.
--
-- KEYS  1 dead letters, 2 stream
-- ARGV  1 id of the dead letter, 2… fields and values of the entry
-- Returns 1, or 0 when it is no longer there.
if #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) == 0 then
  return 0
end
redis.call('XADD', KEYS[2], '*', unpack(ARGV, 2))
redis.call('XDEL', KEYS[1], ARGV[1])
return 1
