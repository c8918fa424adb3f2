-- List what is pending under a consumer, after an answer to it may have been lost.
--
-- KEYS  1 stream
-- ARGV  1 group, 2 consumer, 3 after which id ('-': from the start), 4 how many at the most
-- Returns where to go on ('': nothing is left), {id, fields, deliveries} of each entry, and
-- the ids of those that were trimmed.
--
-- The leases start anew, and the number of deliveries stays as it is: an entry that never
-- arrived was not tried.
local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], '+', ARGV[4], ARGV[2])
local entries, trimmed = {}, {}
for _, p in ipairs(pending) do
  local entry = redis.call('XRANGE', KEYS[1], p[1], p[1])[1]
  if entry then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, p[1], 'JUSTID')
    entries[#entries + 1] = {p[1], entry[2], p[4]}
  else
    trimmed[#trimmed + 1] = p[1]
  end
end
local more = #pending == tonumber(ARGV[4])
return {more and '(' .. pending[#pending][1] or '', entries, trimmed}
