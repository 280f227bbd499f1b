-- place records where an open event is. All keys belong to one handler.
--
-- KEYS[1] ledger  hash
-- KEYS[2] places  hash: partition:position → place
-- KEYS[3] chunk   string of bits: that of the event
-- ARGV[1] partition, ARGV[2] position, ARGV[3] its bit in the chunk, ARGV[4] the place
--
-- Reply: 1 if it is recorded; 0 if the event is settled, or not owed.

local watermark = redis.call('HGET', KEYS[1], 'w')
if not watermark then
  return 0
end
local from = 16 * tonumber(ARGV[1]) + 1
if tonumber(ARGV[2]) <= tonumber(string.sub(watermark, from, from + 15)) or redis.call('GETBIT', KEYS[3], ARGV[3]) == 1 then
  return 0
end
redis.call('HSET', KEYS[2], ARGV[1] .. ':' .. ARGV[2], ARGV[4])
return 1
