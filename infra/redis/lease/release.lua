-- release gives a lease back that is still held.
--
-- KEYS[1] lease  string: the holder's token
-- ARGV[1] token
--
-- Reply: 1 if it is given back, 0 if it expired or another instance holds it.

if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
