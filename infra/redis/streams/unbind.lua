-- unbind removes types from the bindings of a queue, and from those of the topic unless
-- another queue receives them.
--
-- KEYS[1] bindings  set: of each binding the type, and the queue and the type
-- ARGV[1] queue     and a separator
-- ARGV[2…] types
--
-- Reply: how many types the queue still receives.

for i = 2, #ARGV do
  redis.call('SREM', KEYS[1], ARGV[1] .. ARGV[i])
end
local own, others = 0, {}
for _, member in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local at = string.find(member, '\31', 1, true)
  if at then
    others[string.sub(member, at + 1)] = true
    if string.sub(member, 1, at) == ARGV[1] then
      own = own + 1
    end
  end
end
for i = 2, #ARGV do
  if not others[ARGV[i]] then
    redis.call('SREM', KEYS[1], ARGV[i])
  end
end
return own
