-- List the commands that this user may not run.
--
-- KEYS  1 any key of the service
-- ARGV  commands, with a subcommand as 'XGROUP|CREATE'; no EVAL, as a server may crash then
-- Returns those that are refused, or that the server does not know.
--
-- The key is passed where a command expects it: its patterns are checked with the command.
local keyless = {TIME = true, WAIT = true}
local refused = {}
for _, name in ipairs(ARGV) do
  local command, subcommand = string.match(name, '^(%w+)|?(%w*)$')
  local words = {command}
  if subcommand ~= '' then
    words[2] = subcommand
  end
  if command == 'XREADGROUP' then
    words = {command, 'GROUP', 'group', 'consumer', 'STREAMS', KEYS[1], '>'}
  elseif not keyless[command] then
    words[#words + 1] = KEYS[1]
  end
  local known, allowed = pcall(redis.acl_check_cmd, unpack(words))
  if not (known and allowed) then
    refused[#refused + 1] = name
  end
end
return refused
