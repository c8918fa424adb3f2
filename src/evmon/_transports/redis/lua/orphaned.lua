-- Function for settle.lua and release.lua: whether an entry is an orphan, that is, neither
-- pending nor finished, because somebody removed it from the pending entries list, for
-- example with XGROUP DELCONSUMER. The caller holds the entry, has not finished it, and has
-- checked that it is not pending.
--
-- The entry is no orphan if another consumer reclaimed it (it is in the set whose number in
-- KEYS is `reclaimed`), or if a recreated group has yet to deliver it.
local function orphaned(id, reclaimed)
  if redis.call('SISMEMBER', KEYS[reclaimed], KEYS[1] .. ' ' .. id) == 1
    or redis.call('SISMEMBER', KEYS[reclaimed], '*') == 1 then
    return false
  end
  local function parts(entry)
    local ms, seq = string.match(entry, '^(%d+)-(%d+)$')
    return tonumber(ms), tonumber(seq)
  end
  local id_ms, id_seq = parts(id)
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local info = {}
    for i = 1, #flat, 2 do
      info[flat[i]] = flat[i + 1]
    end
    if info['name'] == ARGV[1] then
      local ms, seq = parts(info['last-delivered-id'])
      return id_ms < ms or (id_ms == ms and id_seq <= seq)
    end
  end
  return false
end
