-- takeplace records where an event of a joined ledger is, unless it has a place already; of
-- one that is settled it forgets that. All keys belong to one handler.
--
-- KEYS[1] places  hash: partition:position → place
-- KEYS[2] chunk   string of bits: that of the event
-- ARGV[1] partition:position, ARGV[2] its bit in the chunk, ARGV[3] the place
-- ARGV[4] 1 if it is settled whatever its bit is, else 0
--
-- Reply: 1 if the place is recorded or forgotten, 0 if there was nothing to do.

if ARGV[4] == '1' or redis.call('GETBIT', KEYS[2], ARGV[2]) == 1 then
  return redis.call('HDEL', KEYS[1], ARGV[1])
end
return redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[3])
