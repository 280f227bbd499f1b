-- edit gives a poison message another body, if it is still as it was read.
--
-- KEYS[1] message   hash
-- KEYS[2] revision  counter of all changes
-- KEYS[3] audit     stream
-- KEYS[4] claim     string: there while an operation works on the message
-- ARGV[1] revision that was read, ARGV[2] body, ARGV[3] its size
-- ARGV[4…] fields of the audit entry
--
-- Reply: the message's new revision; 0 if it has changed: the message has failed
-- again; -1 if it is not there; -2 if it is claimed.

local revision = redis.call('HGET', KEYS[1], 'revision')
if not revision then
  return -1
end
if revision ~= ARGV[1] then
  return 0
end
if redis.call('EXISTS', KEYS[4]) == 1 then
  return -2
end
revision = redis.call('INCR', KEYS[2])
redis.call('HSET', KEYS[1], 'body', ARGV[2], 'size', ARGV[3], 'revision', revision)
redis.call('XADD', KEYS[3], 'MAXLEN', '~', 1000000, '*', unpack(ARGV, 4))
return revision
