-- Claim pending entries whose lease expired.
--
-- KEYS  1 stream, 2 set of entries reclaimed from this consumer, 3… from other consumers
-- ARGV  1 group, 2 consumer, 3 lease in ms, 4 cursor, 5 maximum number of entries,
--       6 seconds to keep the sets, 7 deliveries from which on an entry is a suspect,
--       8 maximum number of suspects to claim, 9 maximum size of a set,
--       10… names of the other consumers
-- Returns the next cursor, {id, fields, deliveries} of each entry, the ids of entries that
-- were trimmed while pending, and the number of suspects left.
--
-- Entries of a consumer whose name is not passed are left for the next search.
--
-- Not XAUTOCLAIM: it drops trimmed entries without regard to their idle time, and so would
-- report as lost what another consumer is about to finish. XCLAIM drops them as well, so
-- trimmed entries of this consumer are left to renew.lua, which records them.
--
-- A claimed entry is added to the set of its previous owner: after this consumer has
-- finished it, it is pending nowhere, and the previous owner must not take it for an orphan.
-- The member '*' of a full set stands for all others.
local numbers = {}
for i = 10, #ARGV do
  numbers[ARGV[i]] = i - 7
end
local pending = redis.call(
  'XPENDING', KEYS[1], ARGV[1], 'IDLE', ARGV[3], ARGV[4], '+', ARGV[5])
local entries, trimmed = {}, {}
local suspects, suspects_left = 0, 0
for _, row in ipairs(pending) do
  local id, owner, deliveries = row[1], row[2], row[4] + 1
  local suspect = deliveries >= tonumber(ARGV[7])
  if suspect and suspects >= tonumber(ARGV[8]) then
    suspects_left = suspects_left + 1
  elseif numbers[owner]
    or owner == ARGV[2] and #redis.call('XRANGE', KEYS[1], id, id) > 0 then
    local entry = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], id)[1]
    local from = numbers[owner]
    if from then
      local member = KEYS[1] .. ' ' .. id
      local full = redis.call('SCARD', KEYS[from]) >= tonumber(ARGV[9])
      redis.call('SADD', KEYS[from], full and '*' or member)
      redis.call('EXPIRE', KEYS[from], ARGV[6])
      redis.call('SREM', KEYS[2], member)
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
