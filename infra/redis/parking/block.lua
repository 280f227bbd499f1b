-- block makes a key wait for a message that has failed, unless it waits for
-- another one already. All keys belong to one handler.
--
-- KEYS[1] blockers  hash: key → id of the message that it waits for
-- KEYS[2] order     list: ids of the key's parked messages
-- KEYS[3] parked    hash: id → packed message, of the key
-- KEYS[4] count     how many messages of the handler are parked
-- ARGV[1] key, ARGV[2] id of the message
--
-- Reply: the id of the message that the key waits for now.

if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 0 then
  local blocker = redis.call('HGET', KEYS[1], ARGV[1])
  if blocker ~= ARGV[2] then
    return blocker
  end
  -- It has been received, and so it is not parked any more, even if done was not called.
  if redis.call('LINDEX', KEYS[2], 0) == ARGV[2] then
    redis.call('LPOP', KEYS[2])
    redis.call('HDEL', KEYS[3], ARGV[2])
    redis.call('DECR', KEYS[4])
  end
end
return ARGV[2]
