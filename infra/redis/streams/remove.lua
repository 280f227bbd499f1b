-- remove deletes the own stream of a queue, unless something is left in it or delayed.
--
-- KEYS[1] stream   of the queue
-- KEYS[2] delayed  sorted set of its delayed messages; both keys are in one slot
-- ARGV[1] group
--
-- Reply: how many messages are left, if any: then nothing is deleted.

local left = redis.call('ZCARD', KEYS[2])
if redis.call('EXISTS', KEYS[1]) == 0 then
  return left
end
local after = '0-0'
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local is = {}
  for i = 1, #group, 2 do
    is[group[i]] = group[i + 1]
  end
  if is['name'] == ARGV[1] then
    after = is['last-delivered-id']
    left = left + redis.call('XPENDING', KEYS[1], ARGV[1])[1]
  end
end
-- How many wait is not worth a long look; that some do is.
left = left + #redis.call('XRANGE', KEYS[1], '(' .. after, '+', 'COUNT', 1000)
if left == 0 then
  redis.call('DEL', KEYS[1])
end
return left
