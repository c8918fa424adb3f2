-- Claim pending entries whose lease expired.
--
-- KEYS  1 stream, 2 prefix of the sets of entries reclaimed from each consumer
-- ARGV  1 group, 2 consumer, 3 lease in ms, 4 cursor, 5 maximum number of entries,
--       6 seconds to keep the sets, 7 deliveries from which on an entry is a suspect,
--       8 maximum number of suspects to claim
-- Returns the next cursor, {id, fields, deliveries} of each entry, the ids of entries that
-- were trimmed while pending, and the number of suspects left.
--
-- Not XAUTOCLAIM: it drops trimmed entries without regard to their idle time, and so would
-- report as lost what another consumer is about to finish. XCLAIM drops them as well, so
-- trimmed entries of this consumer are left to renew.lua, which records them.
--
-- A claimed entry is added to the set of its previous owner: after this consumer has
-- finished it, it is pending nowhere, and the previous owner must not take it for an orphan.
local pending = redis.call(
  'XPENDING', KEYS[1], ARGV[1], 'IDLE', ARGV[3], ARGV[4], '+', ARGV[5])
local entries, trimmed = {}, {}
local suspects, suspects_left = 0, 0
for _, row in ipairs(pending) do
  local id, owner, deliveries = row[1], row[2], row[4] + 1
  local suspect = deliveries >= tonumber(ARGV[7])
  if suspect and suspects >= tonumber(ARGV[8]) then
    suspects_left = suspects_left + 1
  elseif owner ~= ARGV[2] or #redis.call('XRANGE', KEYS[1], id, id) > 0 then
    local entry = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], id)[1]
    if owner ~= ARGV[2] then
      local member = KEYS[1] .. ' ' .. id
      redis.call('SADD', KEYS[2] .. owner, member)
      redis.call('EXPIRE', KEYS[2] .. owner, ARGV[6])
      redis.call('SREM', KEYS[2] .. ARGV[2], member)
    end
    if suspect then
      suspects = suspects + 1
    end
    if entry then
      entries[#entries + 1] = {id, entry[2], deliveries}
    else
      trimmed[#trimmed + 1] = id
    end
  end
end
local more = #pending == tonumber(ARGV[5])
return {more and '(' .. pending[#pending][1] or '0-0', entries, trimmed, suspects_left}
