-- remove removes a poison message that is still as it was read.
--
-- KEYS[1] message   hash
-- KEYS[2] index     sorted set: all messages
-- KEYS[3] index     the same for the message's handler
-- KEYS[4] counts    hash: handler → how many messages
-- KEYS[5] audit     stream
-- KEYS[6] claim     string: the operation that works on the message
-- ARGV[1] handler, ARGV[2] revision that was read
-- ARGV[3…] fields of the audit entry
--
-- Reply: 1 if it is removed; 0 if it has changed: the message has failed again; -1
-- if it was not there.

local kept = redis.call('HMGET', KEYS[1], 'at', 'revision')
if not kept[1] then
  return -1
end
if kept[2] ~= ARGV[2] then
  return 0
end
redis.call('DEL', KEYS[1], KEYS[6])
redis.call('ZREM', KEYS[2], kept[1])
redis.call('ZREM', KEYS[3], kept[1])
redis.call('HINCRBY', KEYS[4], ARGV[1], -1)
redis.call('XADD', KEYS[5], 'MAXLEN', '~', 1000000, '*', unpack(ARGV, 3))
return 1
