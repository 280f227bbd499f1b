-- commit writes one step of a projection, or nothing. All keys belong to one
-- projection.
--
-- KEYS[1] rows    hash: key → row
-- KEYS[2] keys    sorted set: the keys of all rows, each with score 0
-- KEYS[3] cursor  hash: partition → position, token, log (the epoch of the log), rebuild
--                 (why the projection must be rebuilt)
-- KEYS[4…] end    string that begins with the position of the last event: one for each
--                 partition that moves, or, where they are in other slots, none. A
--                 partition that has none yet is not checked
-- ARGV[1] how many partitions there are, ARGV[2] how many rows the step puts
-- ARGV[3] token of the caller, or '' if the projection has none
-- ARGV[4] epoch of the log that was read, ARGV[5] rebuild, or '' to leave it
-- ARGV    for each partition, in order: the position before, the position after;
--         then for each row to put: key, row; then the keys of rows to delete
--
-- Reply: 1 if it is written; 0 if the stored cursor or token is not the given one, or the
-- log ends before the position after.

local partitions, puts = tonumber(ARGV[1]), tonumber(ARGV[2])
local kept = {}
local flat = redis.call('HGETALL', KEYS[3])
for i = 1, #flat, 2 do
  kept[flat[i]] = flat[i + 1]
end
if (kept['token'] or '') ~= ARGV[3] then
  return 0
end
local moved = 0
for p = 0, partitions - 1 do
  local from, to = ARGV[6 + 2 * p], ARGV[7 + 2 * p]
  if (kept[tostring(p)] or '0') ~= from then
    return 0
  end
  if from ~= to then
    moved = moved + 1
    local last = KEYS[3 + moved] and redis.call('GET', KEYS[3 + moved])
    if last and tonumber(string.match(last, '^%d+') or 0) < tonumber(to) then
      return 0
    end
  end
end
-- A key of the wrong type must be found before the first write.
redis.call('HLEN', KEYS[1])
redis.call('ZCARD', KEYS[2])

-- A call takes a bounded number of arguments, so rows go in groups.
local group = 500
local at = 2 * partitions + 6
local last = at + 2 * puts - 1
while at <= last do
  local upto = math.min(at + 2 * group - 1, last)
  -- Only a new row needs a place in the order.
  if redis.call('HSET', KEYS[1], unpack(ARGV, at, upto)) > 0 then
    local members = {}
    for i = at, upto, 2 do
      members[#members + 1] = 0
      members[#members + 1] = ARGV[i]
    end
    redis.call('ZADD', KEYS[2], unpack(members))
  end
  at = upto + 1
end
while at <= #ARGV do
  local upto = math.min(at + group - 1, #ARGV)
  redis.call('HDEL', KEYS[1], unpack(ARGV, at, upto))
  redis.call('ZREM', KEYS[2], unpack(ARGV, at, upto))
  at = upto + 1
end

for p = 0, partitions - 1 do
  local to = ARGV[7 + 2 * p]
  if to ~= ARGV[6 + 2 * p] then
    redis.call('HSET', KEYS[3], p, to)
  end
end
if ARGV[4] ~= '' then
  redis.call('HSET', KEYS[3], 'log', ARGV[4])
end
if ARGV[5] ~= '' then
  redis.call('HSET', KEYS[3], 'rebuild', ARGV[5])
end
return 1
