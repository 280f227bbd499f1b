-- advance moves the audit of a handler forward, and deletes chunks that the watermark has
-- passed: at most so many; the next call goes on. Their keys are KEYS[1]:partition:number, in
-- the same slot.
--
-- KEYS[1] ledger  hash
-- ARGV[1] the audited cursor before, ARGV[2] the one afterwards
-- ARGV[3] the watermark, which does not move back in any partition
-- ARGV[4] how many events are between the cursors
-- ARGV[5] how many chunks to delete at most, ARGV[6] how many partitions there are
-- ARGV[7] the watermark before, '' if it does not matter
-- ARGV[8] how many terms the ledger has, 0 if it does not matter
--
-- Reply: 1 if it is written; 0 if the cursors or the terms are not those before, or the ledger
-- has not begun.

local was = redis.call('HMGET', KEYS[1], 'a', 'w', 'x', 'terms')
if was[1] ~= ARGV[1] or not was[2] or not was[3] or ARGV[7] ~= '' and was[2] ~= ARGV[7] then
  return 0
end
if ARGV[8] ~= '0' and #cjson.decode(was[4] or '[]') ~= tonumber(ARGV[8]) then
  return 0
end
local watermark, kept, passed = {}, {}, {}
for p = 0, tonumber(ARGV[6]) - 1 do
  local from, to = 16 * p + 1, 16 * p + 16
  local old, new = string.sub(was[2], from, to), string.sub(ARGV[3], from, to)
  if tonumber(new) < tonumber(old) then
    new = old
  end
  local chunk, upto = tonumber(string.sub(was[3], from, to)), math.floor(tonumber(new) / 4096)
  while chunk < upto and #passed < tonumber(ARGV[5]) do
    passed[#passed + 1] = string.format('%s:%.0f:%.0f', KEYS[1], p, chunk)
    chunk = chunk + 1
  end
  watermark[p + 1], kept[p + 1] = new, string.format('%016.0f', chunk)
end
redis.call('HSET', KEYS[1], 'a', ARGV[2], 'w', table.concat(watermark), 'x', table.concat(kept))
redis.call('HINCRBY', KEYS[1], 'e', ARGV[4])
if #passed > 0 then
  redis.call('UNLINK', unpack(passed))
end
return 1
