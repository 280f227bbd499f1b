-- done takes the message that a key waits for off the parked ones, once it is
-- in the handler's queue. Done again, it changes nothing. All keys belong to one
-- handler.
--
-- KEYS[1] blockers  hash: key → id of the message that it waits for
-- KEYS[2] order     list: ids of the key's parked messages
-- KEYS[3] parked    hash: id → packed message, of the key
-- KEYS[4] count     how many messages of the handler are parked
-- ARGV[1] key, ARGV[2] id of the message
--
-- Reply: 1 if it was parked, else 0.

if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] or redis.call('LINDEX', KEYS[2], 0) ~= ARGV[2] then
  return 0
end
redis.call('LPOP', KEYS[2])
redis.call('HDEL', KEYS[3], ARGV[2])
redis.call('DECR', KEYS[4])
return 1
