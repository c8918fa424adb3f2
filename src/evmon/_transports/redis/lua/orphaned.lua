-- Whether an entry that is pending under nobody was nevertheless not finished: somebody
-- took it out of the pending ones by hand, as XGROUP DELCONSUMER does. Put before the
-- scripts that ask; only who holds the entry can ask, and knows that it did not finish it.
--
-- Nobody took it over either, for that is noted in `taken`; and a group that was made anew
-- does not deliver it again, for it is past it.
local function orphaned(stream, group, id, taken)
  if redis.call('SISMEMBER', taken, stream .. ' ' .. id) == 1 then
    return false
  end
  local function parts(entry)
    local ms, seq = string.match(entry, '^(%d+)-(%d+)$')
    return tonumber(ms), tonumber(seq)
  end
  local id_ms, id_seq = parts(id)
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local g = {}
    for i = 1, #flat, 2 do
      g[flat[i]] = flat[i + 1]
    end
    if g['name'] == group then
      local ms, seq = parts(g['last-delivered-id'])
      return id_ms < ms or (id_ms == ms and id_seq <= seq)
    end
  end
  return false
end
