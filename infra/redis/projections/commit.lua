-- commit writes one step of a projection, or nothing. All keys belong to one
-- projection.
--
-- KEYS[1] rows    hash: key → row
-- KEYS[2] keys    sorted set: the keys of all rows, each with score 0
-- KEYS[3] cursor  hash: partition → position
-- ARGV[1] how many partitions there are, ARGV[2] how many rows the step puts
-- ARGV    for each partition, in order: the position before, the position after;
--         then for each row to put: key, row; then the keys of rows to delete
--
-- Reply: 1 if it is written; 0 if the stored cursor is not the one before.

local partitions, puts = tonumber(ARGV[1]), tonumber(ARGV[2])
local kept = {}
local flat = redis.call('HGETALL', KEYS[3])
for i = 1, #flat, 2 do
  kept[flat[i]] = flat[i + 1]
end
for p = 0, partitions - 1 do
  if (kept[tostring(p)] or '0') ~= ARGV[3 + 2 * p] then
    return 0
  end
end
-- A key of the wrong type must be found before the first write.
redis.call('HLEN', KEYS[1])
redis.call('ZCARD', KEYS[2])

-- A call takes a bounded number of arguments, so rows go in groups.
local group = 500
local at = 2 * partitions + 3
local last = at + 2 * puts - 1
while at <= last do
  local upto = math.min(at + 2 * group - 1, last)
  -- Only a new row needs a place in the order.
  if redis.call('HSET', KEYS[1], unpack(ARGV, at, upto)) > 0 then
    local members = {}
    for i = at, upto, 2 do
      members[#members + 1] = 0
      members[#members + 1] = ARGV[i]
    end
    redis.call('ZADD', KEYS[2], unpack(members))
  end
  at = upto + 1
end
while at <= #ARGV do
  local upto = math.min(at + group - 1, #ARGV)
  redis.call('HDEL', KEYS[1], unpack(ARGV, at, upto))
  redis.call('ZREM', KEYS[2], unpack(ARGV, at, upto))
  at = upto + 1
end

for p = 0, partitions - 1 do
  local to = ARGV[4 + 2 * p]
  if to ~= ARGV[3 + 2 * p] then
    redis.call('HSET', KEYS[3], p, to)
  end
end
return 1
