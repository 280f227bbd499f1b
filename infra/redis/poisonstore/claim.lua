-- claim claims a poison message for one operation, or ends its claim.
--
-- KEYS[1] message  hash
-- KEYS[2] claim    string: the operation that has claimed the message
-- ARGV[1] operation
-- ARGV[2] lease    in milliseconds; 0: the claim ends, if it is the operation's
--
-- Reply: 1 if it is claimed; 0 if another operation has claimed it; -1 if the message
-- is not there.

local held = redis.call('GET', KEYS[2])
if ARGV[2] == '0' then
  if held == ARGV[1] then
    redis.call('DEL', KEYS[2])
  end
  return 1
end
if redis.call('EXISTS', KEYS[1]) == 0 then
  return -1
end
if held and held ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return 1
