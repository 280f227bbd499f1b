-- add sets bits of a chunk that are settled in another ledger, and counts nothing. Running it
-- again changes nothing. All keys belong to one handler.
--
-- KEYS[1] chunk  string of bits
-- KEYS[2] a key that this script alone uses
-- ARGV[1] the bits to set, from the first one of the chunk on
--
-- Reply: 1.

redis.call('SET', KEYS[2], ARGV[1])
redis.call('BITOP', 'OR', KEYS[1], KEYS[1], KEYS[2])
redis.call('DEL', KEYS[2])
return 1
