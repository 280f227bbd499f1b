-- snapshot keeps a state, unless a later one is kept already.
--
-- KEYS[1] snapshot  hash: version, schema, state
-- ARGV[1] version, ARGV[2] schema, ARGV[3] state
--
-- Reply: 1 if it is kept, 0 if a later one was there.

local kept = tonumber(redis.call('HGET', KEYS[1], 'version') or 0)
if kept and kept > tonumber(ARGV[1]) then
  return 0
end
redis.call('HSET', KEYS[1], 'version', ARGV[1], 'schema', ARGV[2], 'state', ARGV[3])
return 1
