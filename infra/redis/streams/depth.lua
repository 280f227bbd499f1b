-- depth counts the entries of a stream that a group has not received, as many of them as
-- one call should: nothing else runs meanwhile.
--
-- KEYS[1] stream
-- ARGV[1] group
-- ARGV[2] after       the id of the last entry that is counted already; '' for the first call
-- ARGV[3] limit       of the entries that are looked at
-- ARGV[4] mark        the prefix of the types that are marks, which do not count
-- ARGV[5…] types      that count; none for all. An entry without a type always counts.
--
-- Reply: how many count, and the id to go on after; '' at the end. An empty list if there
-- is no such group.

if redis.call('EXISTS', KEYS[1]) == 0 then
  return {}
end
local after
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local is = {}
  for i = 1, #group, 2 do
    is[group[i]] = group[i + 1]
  end
  if is['name'] == ARGV[1] then
    after = is['last-delivered-id']
  end
end
if not after then
  return {}
end
if ARGV[2] ~= '' then
  after = ARGV[2]
end
local wanted
for i = 5, #ARGV do
  wanted = wanted or {}
  wanted[ARGV[i]] = true
end
local entries = redis.call('XRANGE', KEYS[1], '(' .. after, '+', 'COUNT', ARGV[3])
local n = 0
for _, entry in ipairs(entries) do
  local kind
  for i = 1, #entry[2], 2 do
    if entry[2][i] == 'type' then
      kind = entry[2][i + 1]
      break
    end
  end
  if not kind or string.sub(kind, 1, #ARGV[4]) ~= ARGV[4] and (not wanted or wanted[kind]) then
    n = n + 1
  end
end
if #entries < tonumber(ARGV[3]) then
  return { n, '' }
end
return { n, entries[#entries][1] }
