-- pass records that a mark has arrived.
--
-- KEYS[1] ledger  hash
-- ARGV[1] the number of the mark
--
-- Reply: 1 if it is recorded; 0 if a later one has arrived before.

if tonumber(redis.call('HGET', KEYS[1], 'passed') or 0) >= tonumber(ARGV[1]) then
  return 0
end
redis.call('HSET', KEYS[1], 'passed', ARGV[1])
return 1
