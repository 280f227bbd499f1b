-- join writes the hash of a ledger that was joined with another one, unless its audit, or what
-- it owes, has changed meanwhile.
--
-- KEYS[1] ledger  hash
-- ARGV[1…5] the fields terms, w, a, x and e before, '' for one that there is not
-- ARGV[6…10] the same fields afterwards, ARGV[11] the field b
-- ARGV[12], ARGV[13] how many events the other one has handled and discarded
-- ARGV[14] a field that marks what was joined
--
-- Reply: 1 if it is written, 0 if something has changed.

local was = redis.call('HMGET', KEYS[1], 'terms', 'w', 'a', 'x', 'e')
for i = 1, 5 do
  if (was[i] or '') ~= ARGV[i] then
    return 0
  end
end
redis.call('HSET', KEYS[1], 'terms', ARGV[6], 'w', ARGV[7], 'a', ARGV[8], 'x', ARGV[9], 'e', ARGV[10], 'b', ARGV[11], ARGV[14], 1)
redis.call('HINCRBY', KEYS[1], 'h', ARGV[12])
redis.call('HINCRBY', KEYS[1], 'd', ARGV[13])
return 1
