-- checkpoint moves positions forward, and never back.
--
-- KEYS[1] checkpoint  hash: partition → position
-- ARGV    partition, position, partition, position, …
--
-- Reply: how many of them have moved.

local moved = 0
for i = 1, #ARGV, 2 do
  local kept = tonumber(redis.call('HGET', KEYS[1], ARGV[i]) or 0)
  if tonumber(ARGV[i + 1]) > kept then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
    moved = moved + 1
  end
end
return moved
