-- attend tells that an instance consumes a handler's queue. Both keys belong to one handler.
--
-- KEYS[1] instances  hash: instance → when it counts as dead in ms:cleared mark
-- KEYS[2] ledger     hash
-- ARGV[1] instance, ARGV[2] the mark that it has cleared, ARGV[3] how long it counts in ms
--
-- Reply: the number of the last mark that has arrived, 0 for none.

local now = redis.call('TIME')
local dead = now[1] * 1000 + math.floor(now[2] / 1000) + ARGV[3]
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f:', dead) .. ARGV[2])
-- The others are dead by then, too.
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return tonumber(redis.call('HGET', KEYS[2], 'passed') or 0)
