-- List a consumer's pending entries, after a reply that delivered some may have been lost.
--
-- KEYS  1 stream
-- ARGV  1 group, 2 consumer, 3 cursor ('-': from the start), 4 maximum number of entries to
--       return, 5… ids of entries that the consumer has
-- Returns the next cursor ('': no more), {id, fields, deliveries} of each entry, and the
-- ids of entries that were trimmed.
--
-- Leases start anew. The number of deliveries stays: a lost delivery was not handled.
local known = {}
for i = 5, #ARGV do
  known[ARGV[i]] = true
end
local maximum = tonumber(ARGV[4])
local count = maximum + #ARGV - 4
local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], '+', count, ARGV[2])
local entries, trimmed = {}, {}
local last
for n, row in ipairs(pending) do
  local id, deliveries = row[1], row[4]
  if not known[id] then
    local entry = redis.call('XRANGE', KEYS[1], id, id)[1]
    if entry then
      redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id, 'JUSTID')
      entries[#entries + 1] = {id, entry[2], deliveries}
    else
      trimmed[#trimmed + 1] = id
    end
  end
  if #entries + #trimmed == maximum or n == count then
    last = id
    break
  end
end
return {last and '(' .. last or '', entries, trimmed}
