-- declare records that a running instance declares a handler, by the clock of the server.
--
-- KEYS[1] topology  hash
-- ARGV[1] handler   what the names of its fields begin with
-- ARGV[2] record    its application, kind and order
-- ARGV[3] consumed  1 if the instance consumes its queue
-- ARGV[4…] bindings the rest of the names of their fields
--
-- Reply: nothing.

local time = redis.call('TIME')
local now = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
redis.call('HSET', KEYS[1], ARGV[1] .. 'handler', ARGV[2], ARGV[1] .. 'declared', now)
redis.call('HSETNX', KEYS[1], ARGV[1] .. 'since', now)
redis.call('HDEL', KEYS[1], ARGV[1] .. 'renamed')
if ARGV[3] == '1' then
  redis.call('HSET', KEYS[1], ARGV[1] .. 'consumed', now)
end
for i = 4, #ARGV do
  redis.call('HSET', KEYS[1], ARGV[1] .. ARGV[i], now)
end
return redis.status_reply('OK')
