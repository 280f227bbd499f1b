-- unbind removes types from those that a queue receives of a topic, and forgets a queue that
-- receives none any more.
--
-- KEYS[1] queues  hash: queue → its types as JSON; none: every type
-- ARGV[1] queue
-- ARGV[2…] types
--
-- Reply: how many types the queue still receives; -1 if it receives every type.

local stored = redis.call('HGET', KEYS[1], ARGV[1])
if not stored then
  return 0
end
local gone, left = {}, {}
for i = 2, #ARGV do
  gone[ARGV[i]] = true
end
local types = cjson.decode(stored)
if #types == 0 then
  return -1
end
for _, kind in ipairs(types) do
  if not gone[kind] then
    left[#left + 1] = kind
  end
end
if #left == 0 then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(left))
end
return #left
