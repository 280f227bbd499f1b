-- list returns rows in the order of their keys. Both keys belong to one projection.
--
-- KEYS[1] rows   hash: key → row
-- KEYS[2] keys   sorted set: the keys of all rows, each with score 0
-- ARGV[1] from   where to begin, as ZRANGEBYLEX takes it
-- ARGV[2] limit  of the rows, at most 1,000
--
-- Reply: key, row, key, row, …

local keys = redis.call('ZRANGEBYLEX', KEYS[2], ARGV[1], '+', 'LIMIT', 0, ARGV[2])
if #keys == 0 then
  return keys
end
local rows = redis.call('HMGET', KEYS[1], unpack(keys))
local reply = {}
for i = 1, #keys do
  reply[2 * i - 1] = keys[i]
  reply[2 * i] = rows[i] or ''
end
return reply
