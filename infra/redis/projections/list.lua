-- list returns rows in the order of their keys. Both keys belong to one projection.
--
-- KEYS[1] rows   hash: key → row
-- KEYS[2] keys   sorted set: the keys of all rows, each with score 0
-- ARGV[1] from   where to begin, as ZRANGEBYLEX takes it
-- ARGV[2] limit  of the rows, at most 10,000
--
-- Reply: key, row, key, row, …

local keys = redis.call('ZRANGEBYLEX', KEYS[2], ARGV[1], '+', 'LIMIT', 0, ARGV[2])
local reply = {}
-- Lua can pass some 8,000 arguments at once.
local group = 1000
for at = 1, #keys, group do
  local upto = math.min(at + group - 1, #keys)
  local rows = redis.call('HMGET', KEYS[1], unpack(keys, at, upto))
  for i = at, upto do
    reply[2 * i - 1] = keys[i]
    reply[2 * i] = rows[i - at + 1] or ''
  end
end
return reply
