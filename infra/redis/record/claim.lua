-- claim compares the record of a store with what an instance works with, and completes it.
-- If something differs, nothing is written.
--
-- KEYS[1] store      hash: the record
-- ARGV[1] proposals  how many of the pairs are only for a record that lacks the field
-- ARGV[2…]           pairs of field and value, the proposals first
--
-- Reply: 1 if there was no record before, else 0; and the record, field after field.

local made = 1 - redis.call('EXISTS', KEYS[1])
for i = 2 + 2 * ARGV[1], #ARGV, 2 do
  local is = redis.call('HGET', KEYS[1], ARGV[i])
  if is and is ~= ARGV[i + 1] then
    return {0, redis.call('HGETALL', KEYS[1])}
  end
end
for i = 2, #ARGV, 2 do
  redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[i + 1])
end
return {made, redis.call('HGETALL', KEYS[1])}
