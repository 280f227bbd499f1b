-- checkpoint moves a checkpoint that is still the caller's, or changes nothing.
--
-- KEYS[1] checkpoint  hash: partition → position, token, log (the epoch of the log)
-- KEYS[2…] end        string that begins with the position of the last event: one for each
--                     partition that moves, or, where they are in other slots, none. A
--                     partition that has none yet is not checked
-- ARGV[1] token       of the caller
-- ARGV[2] epoch       of the log that was read
-- ARGV[3…] for each partition that moves: partition, position before, position after
--
-- Reply: 1 if it is moved; 0 if another instance has opened it or moved it, it is gone, or
-- the log ends before it.

if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then
  return 0
end
local moved = {'log', ARGV[2]}
for i = 3, #ARGV, 3 do
  local kept = redis.call('HGET', KEYS[1], ARGV[i]) or '0'
  if kept ~= ARGV[i + 1] and kept ~= ARGV[i + 2] then
    return 0
  end
  local last = KEYS[1 + i / 3] and redis.call('GET', KEYS[1 + i / 3])
  if last and tonumber(string.match(last, '^%d+') or 0) < tonumber(ARGV[i + 2]) then
    return 0
  end
  moved[#moved + 1] = ARGV[i]
  moved[#moved + 1] = ARGV[i + 2]
end
redis.call('HSET', KEYS[1], unpack(moved))
return 1
