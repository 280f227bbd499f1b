-- begin writes the terms of a handler's ledger, unless they have changed.
--
-- KEYS[1] ledger  hash
-- ARGV[1] the terms before, '' if the ledger has not begun; ARGV[2] the terms afterwards
-- ARGV[3] the cursor at which the ledger begins; ARGV[4] the chunk of each partition that is
--   at that cursor: both are written only if it has not begun
-- ARGV[5] the audited cursor before: a further term begins after it
--
-- Reply: 1 if they are written; 0 if terms or cursor are not those before.

local was = redis.call('HMGET', KEYS[1], 'terms', 'a')
if (was[1] or '') ~= ARGV[1] or (was[2] or '') ~= ARGV[5] then
  return 0
end
if ARGV[1] == '' then
  redis.call('HSET', KEYS[1], 'terms', ARGV[2], 'b', ARGV[3], 'w', ARGV[3], 'a', ARGV[3], 'x', ARGV[4])
else
  redis.call('HSET', KEYS[1], 'terms', ARGV[2])
end
return 1
