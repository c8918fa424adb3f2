-- Let the leases of all pending entries start anew, after the clock was set back.
--
-- KEYS  1 stream
-- ARGV  1 group, 2 cursor ('-': from the start), 3 maximum number of entries
-- Returns the next cursor ('': no more).
--
-- Until the clock is where it was, such entries are not idle, and would not be reclaimed.
local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], '+', ARGV[3])
for _, row in ipairs(pending) do
  local id, owner, deliveries = row[1], row[2], row[4]
  if #redis.call('XRANGE', KEYS[1], id, id) > 0 then
    redis.call(
      'XCLAIM', KEYS[1], ARGV[1], owner, 0, id, 'IDLE', 0, 'RETRYCOUNT', deliveries,
      'JUSTID')
  end
end
return #pending == tonumber(ARGV[3]) and '(' .. pending[#pending][1] or ''
