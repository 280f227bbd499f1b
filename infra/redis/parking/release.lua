-- release lets a key wait for the first of its parked messages instead of the
-- one that is finished, or for none if nothing is parked. That message stays
-- parked until it is known to be in the handler's queue. Done again, it leads to
-- the same. All keys belong to one handler.
--
-- KEYS[1] blockers  hash: key → id of the message that it waits for
-- KEYS[2] order     list: ids of the key's parked messages
-- KEYS[3] parked    hash: id → packed message, of the key
-- KEYS[4] count     how many messages of the handler are parked
-- KEYS[5] done      hash: key → id of the message handled last, while it waits
-- ARGV[1] key, ARGV[2] id of the message that is finished
-- ARGV[3] 1 if it was handled, 0 if it was poisoned
--
-- Reply: id and packed message of what is to be put into the queue; nothing if that
-- is none.

local blocker = redis.call('HGET', KEYS[1], ARGV[1])
if not blocker then
  return {}
end
local first = redis.call('LINDEX', KEYS[2], 0)
if blocker == ARGV[2] then
  if first == blocker then
    -- It has been received, and so it is not parked any more, even if done was not called.
    redis.call('LPOP', KEYS[2])
    redis.call('HDEL', KEYS[3], first)
    redis.call('DECR', KEYS[4])
    first = redis.call('LINDEX', KEYS[2], 0)
  end
  if not first then
    redis.call('HDEL', KEYS[1], ARGV[1])
    redis.call('HDEL', KEYS[5], ARGV[1])
    return {}
  end
  redis.call('HSET', KEYS[1], ARGV[1], first)
  if ARGV[3] == '1' then
    redis.call('HSET', KEYS[5], ARGV[1], ARGV[2])
  else
    redis.call('HDEL', KEYS[5], ARGV[1])
  end
elseif blocker ~= first then
  return {}
end
-- The caller that made this message the blocker may have crashed before it published it.
return { first, redis.call('HGET', KEYS[3], first) or '' }
