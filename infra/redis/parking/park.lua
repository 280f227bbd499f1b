-- park keeps a message behind the one that its key waits for, at the end. A message
-- that is kept already stays where it is, and the one that was handled last, which
-- is delivered again if its acknowledgement was lost, is not kept. All keys belong to one handler.
--
-- KEYS[1] blockers  hash: key → id of the message that it waits for
-- KEYS[2] order     list: ids of the key's parked messages
-- KEYS[3] parked    hash: id → packed message, of the key
-- KEYS[4] count     how many messages of the handler are parked
-- KEYS[5] done      hash: key → id of the message handled last, while it waits
-- ARGV[1] key, ARGV[2] id of the message, ARGV[3] packed message
--
-- Reply: the id of the message that the key waits for, '' if it waits for none. If it
-- is none, or the message itself, nothing is written.

local blocker = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if blocker ~= '' and blocker ~= ARGV[2] and redis.call('HGET', KEYS[5], ARGV[1]) ~= ARGV[2]
  and redis.call('HSETNX', KEYS[3], ARGV[2], ARGV[3]) == 1 then
  redis.call('RPUSH', KEYS[2], ARGV[2])
  redis.call('INCR', KEYS[4])
end
return blocker
