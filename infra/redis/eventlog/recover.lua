-- recover lets a partition that has lost its end go on behind what is gone. All keys
-- belong to one partition.
--
-- KEYS[1] end        string: the position of the partition's last event
-- KEYS[2] gaps       string: what the partition has lost, see gaps.go
-- ARGV[1] witnessed  the last position that is known to have been in use
-- ARGV[2] now        in milliseconds
--
-- Reply: the position that the partition ended at. Unless that is lower than the one
-- witnessed, nothing is changed: it was recovered before.

local last = tonumber(redis.call('GET', KEYS[1]) or 0)
local gaps = redis.call('GET', KEYS[2]) or '0 0'
local after, lost, rest = string.match(gaps, '^(%d+) (%d+)(.*)$')
last = math.max(last, tonumber(after))
local witnessed = tonumber(ARGV[1])
if witnessed > last then
  redis.call('SET', KEYS[2], string.format('%s %.0f%s|%.0f %s %s 0', ARGV[1], tonumber(lost) + witnessed - last, rest, last, ARGV[1], ARGV[2]))
end
return last
