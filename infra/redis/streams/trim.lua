-- trim removes from a stream what every group has acknowledged, roughly: it
-- leaves some of it rather than taking anything that is pending or not yet read.
-- A stream without groups is left alone. Redis removes some ten thousand at once: it is
-- called again until nothing is removed.
--
-- KEYS[1] stream
--
-- Reply: how many entries are removed.

local function before(a, b)
  local a1, a2 = string.match(a, '(%d+)-(%d+)')
  local b1, b2 = string.match(b, '(%d+)-(%d+)')
  a1, a2, b1, b2 = tonumber(a1), tonumber(a2), tonumber(b1), tonumber(b2)
  return a1 < b1 or (a1 == b1 and a2 < b2)
end

local keep
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local is = {}
  for i = 1, #group, 2 do
    is[group[i]] = group[i + 1]
  end
  local first = is['last-delivered-id']
  if not string.find(first, '-', 1, true) then
    first = first .. '-0'
  end
  local pending = redis.call('XPENDING', KEYS[1], is['name'])
  if pending[1] > 0 and before(pending[2], first) then
    first = pending[2]
  end
  if not keep or before(first, keep) then
    keep = first
  end
end
if not keep then
  return 0
end
return redis.call('XTRIM', KEYS[1], 'MINID', '~', keep)
