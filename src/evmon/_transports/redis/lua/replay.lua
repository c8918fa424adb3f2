-- Move a dead letter back to a stream.
--
-- KEYS  1 dead letters, 2 stream
-- ARGV  1 id of the dead letter, 2… fields and values of the new entry
-- Returns 1, or 0 if the dead letter no longer exists.
if #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) == 0 then
  return 0
end
redis.call('XADD', KEYS[2], '*', unpack(ARGV, 2))
redis.call('XDEL', KEYS[1], ARGV[1])
return 1
