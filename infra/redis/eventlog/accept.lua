-- accept marks what a partition has lost as accepted.
--
-- KEYS[1] gaps       string: what the partition has lost, see gaps.go
-- ARGV[1] witnessed  gaps up to this position are accepted; later ones are not
--
-- Reply: how many gaps there were that nobody had accepted.

local gaps = redis.call('GET', KEYS[1])
if not gaps then
  return 0
end
local n = 0
local accepted = string.gsub(gaps, '|(%d+) (%d+) (%d+) 0', function(last, witnessed, since)
  if tonumber(witnessed) <= tonumber(ARGV[1]) then
    n = n + 1
    return string.format('|%s %s %s 1', last, witnessed, since)
  end
end)
if n > 0 then
  redis.call('SET', KEYS[1], accepted)
end
return n
