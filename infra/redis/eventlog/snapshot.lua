-- snapshot keeps a state, unless a later one is kept already, or its event is not in the
-- log: a process that was slow may save a state that Redis was put back behind meanwhile.
-- Both keys belong to one partition.
--
-- KEYS[1] snapshot  hash: version, schema, state, position
-- KEYS[2] index     list: the positions of the aggregate's events
-- ARGV[1] version, ARGV[2] schema, ARGV[3] state, ARGV[4] position of the event that made
-- the version, 0 if it is not known
--
-- Reply: 1 if it is kept, else 0.

local kept = tonumber(redis.call('HGET', KEYS[1], 'version') or 0)
if kept and kept > tonumber(ARGV[1]) then
  return 0
end
if ARGV[4] ~= '0' and not redis.call('LPOS', KEYS[2], ARGV[4], 'RANK', -1) then
  return 0
end
redis.call('HSET', KEYS[1], 'version', ARGV[1], 'schema', ARGV[2], 'state', ARGV[3], 'position', ARGV[4])
return 1
