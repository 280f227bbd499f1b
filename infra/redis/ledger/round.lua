-- round returns how far marks have been answered, and removes dead instances. Both keys belong
-- to one handler.
--
-- KEYS[1] instances  hash: instance → when it counts as dead in ms:cleared mark
-- KEYS[2] ledger     hash
--
-- Reply: the numbers of the last mark that was sent, and that has arrived, as text; then for
-- each living instance its id and the mark that it has cleared.

local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local marks = redis.call('HMGET', KEYS[2], 'sent', 'passed')
local reply = {marks[1] or '0', marks[2] or '0'}
local instances = redis.call('HGETALL', KEYS[1])
for i = 1, #instances, 2 do
  local dead, cleared = string.match(instances[i + 1], '^(%d+):(%d+)$')
  if dead and tonumber(dead) > now then
    reply[#reply + 1] = instances[i]
    reply[#reply + 1] = cleared
  else
    redis.call('HDEL', KEYS[1], instances[i])
  end
end
return reply
