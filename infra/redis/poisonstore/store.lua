-- store keeps a poison message, or one more failure of a kept one.
--
-- KEYS[1] message   hash: head, rest, body, size, failures, first, at, seen, revision
-- KEYS[2] index     sorted set: all messages by the time of their last failure
-- KEYS[3] index     the same for the message's handler
-- KEYS[4] counts    hash: handler → how many messages
-- KEYS[5] revision  counter of all changes
-- KEYS[6] audit     stream: what was done to messages, by whom
-- KEYS[7] claim     string: the operation that worked on the message, until it failed again
-- ARGV[1] handler
-- ARGV[2] at        the message's place in the indexes: when it failed last, and its id
-- ARGV[3] failure   names this failure, so that it is counted once
-- ARGV[4] failures  how many there were, with this one
-- ARGV[5] first     when the first attempt failed, in milliseconds since 1970
-- ARGV[6] head, ARGV[7] rest, ARGV[8] body, ARGV[9] size of the body
-- ARGV[10…] fields of an audit entry: the message is kept only if it is new. None:
--         it comes from its queue
--
-- Reply: 1 if something was written, 0 if this failure is known, or the message is
-- not new and should have been.

local kept = redis.call('HMGET', KEYS[1], 'at', 'seen', 'failures', 'first')
local at, seen = kept[1], kept[2] or ''
if at and (#ARGV > 9 or string.find(seen, ARGV[3] .. ' ', 1, true)) then
  return 0
end

local failures, first = tonumber(ARGV[4]), tonumber(ARGV[5])
if at then
  failures = math.max(failures, tonumber(kept[3]) + 1)
  first = math.min(first, tonumber(kept[4]))
else
  redis.call('HINCRBY', KEYS[4], ARGV[1], 1)
end
redis.call('DEL', KEYS[7])
-- The newest failures are enough to know a repeated one by.
seen = string.sub(ARGV[3] .. ' ' .. seen, 1, 1024)
local revision = redis.call('INCR', KEYS[5])
redis.call('HSET', KEYS[1], 'failures', string.format('%.0f', failures), 'first', string.format('%.0f', first), 'seen', seen, 'revision', revision)
-- Of two failures that arrive in the wrong order, the later one says what the error is.
if not at or at <= ARGV[2] then
  if at then
    redis.call('ZREM', KEYS[2], at)
    redis.call('ZREM', KEYS[3], at)
  end
  redis.call('ZADD', KEYS[2], 0, ARGV[2])
  redis.call('ZADD', KEYS[3], 0, ARGV[2])
  redis.call('HSET', KEYS[1], 'at', ARGV[2], 'head', ARGV[6], 'rest', ARGV[7], 'body', ARGV[8], 'size', ARGV[9])
end
if #ARGV > 9 then
  redis.call('XADD', KEYS[6], 'MAXLEN', '~', 1000000, '*', unpack(ARGV, 10))
end
return 1
