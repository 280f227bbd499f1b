-- settle sets the bits of events that are settled, counts those that are new, and forgets
-- their places. All keys belong to one handler. Running it again changes nothing.
--
-- KEYS[1] ledger   hash
-- KEYS[2] places   hash: partition:position → place
-- KEYS[3…] chunks  strings of bits; one may be named twice
-- ARGV for each chunk: 'h' for handled or 'd' for discarded, its partition, how many positions
--   of the partition come before the mask (a multiple of 8), the mask: the bits to set
--
-- Reply: 1, or 0 if the ledger has not begun, and nothing is written.
--
-- Positions up to the watermark are left out: their chunk may be deleted already. Before
-- the ledger begins there are none beyond it, as the watermark is never behind that.

local watermark = redis.call('HGET', KEYS[1], 'w')
if not watermark then
  return 0
end
local placed = redis.call('EXISTS', KEYS[2]) == 1
local ones = {[0] = 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4}
-- The in-process Redis has no library for bits.
local library = rawget(_G, 'bit')
local both = library and library.band or function(a, b)
  local all, bit = 0, 128
  while bit >= 1 do
    if a >= bit and b >= bit then
      all = all + bit
    end
    a, b, bit = a % bit, b % bit, bit / 2
  end
  return all
end

local settled = {h = 0, d = 0}
local found = {} -- fields of places to forget
for i = 3, #KEYS do
  local at = 4 * (i - 3)
  local kind, partition, before, mask = ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3]), ARGV[at + 4]
  local from = 16 * tonumber(partition) + 1
  local passed = tonumber(string.sub(watermark, from, from + 15)) - before
  local first = before % 4096 / 8
  local stored = redis.call('GETRANGE', KEYS[i], first, first + #mask - 1)
  local bytes, new = {}, 0
  for j = 1, #mask do
    local was, add = string.byte(stored, j) or 0, string.byte(mask, j)
    local below = passed - 8 * (j - 1) -- how many bits of the byte are below the watermark
    if below >= 8 then
      add = 0
    elseif below > 0 then
      add = add % 2 ^ (8 - below)
    end
    if was > 0 and add > 0 then
      add = add - both(was, add)
    end
    if add > 0 then
      new = new + ones[add % 16] + ones[math.floor(add / 16)]
      if placed then
        for bit = 0, 7 do
          if both(add, 2 ^ (7 - bit)) > 0 then
            found[#found + 1] = partition .. ':' .. string.format('%.0f', before + 8 * (j - 1) + bit + 1)
          end
        end
      end
    end
    bytes[j] = string.char(was + add)
  end
  if new > 0 then
    redis.call('SETRANGE', KEYS[i], first, table.concat(bytes))
    settled[kind] = settled[kind] + new
  end
end
for kind, n in pairs(settled) do
  if n > 0 then
    redis.call('HINCRBY', KEYS[1], kind, n)
  end
end
-- Lua can pass some 8,000 arguments at once.
for i = 1, #found, 1000 do
  redis.call('HDEL', KEYS[2], unpack(found, i, math.min(i + 999, #found)))
end
return 1
