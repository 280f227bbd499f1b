-- renew extends a lease that is still held.
--
-- KEYS[1] lease  string: the holder's token
-- ARGV[1] token, ARGV[2] ttl in milliseconds
--
-- Reply: 1 if it is extended, 0 if it expired or another instance holds it.

if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
