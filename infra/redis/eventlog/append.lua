-- append stores the events of one decision and the outcome of its command, or
-- nothing. All keys belong to one partition.
--
-- KEYS[1] outcome   string: the outcome of this command
-- KEYS[2] index     list: the positions of the aggregate's events
-- KEYS[3] end       string: the position of the partition's last event
-- KEYS[4] log       stream: the events of the partition
-- KEYS[5] gaps      string: what the partition has lost, see gaps.go; it begins with the
--                   position to go on after and the number of events lost
-- ARGV[1] version   that the aggregate must have; ignored without events
-- ARGV[2] ttl       of the outcome in milliseconds
-- ARGV[3] outcome   as it is to be stored
-- ARGV[4] seen      the highest position of the partition that the caller knows of
-- ARGV[5…] for each event: type, head, data
--
-- Reply: the outcome stored before under this command (a string, and nothing is
-- written); or a negative number: everything is written, and the partition's last
-- position is its opposite, less 1 (-1: unknown, as there were no events); or the
-- aggregate's version, which is not the expected one, and nothing is written; or a list
-- with the partition's last position, which is lower than the caller knows: the log has
-- lost its end, and nothing is written.
--
-- An aggregate may have lost as many events as its partition has. That many versions are
-- skipped, once, by the next event of every aggregate: the version is the number of events
-- left plus the number of events that the partition has lost.
--
-- Redis does not roll back what a script that fails has written. So all reads, which
-- fail if a key holds something else, come first. The outcome is the first write, as
-- Redis may refuse its argument or, out of memory, the first write of a script; it
-- accepts later ones. After that only the first entry can be refused, if the stream is
-- further than it should be or is not a stream: the outcome, which did not exist before,
-- is deleted then. The ids of the other entries are larger, so if the first is accepted
-- all are.

local stored = redis.call('GET', KEYS[1])
if stored then
  return stored
end
local last -- the position of the last event
if #ARGV > 4 then
  local version = redis.call('LLEN', KEYS[2])
  local marks = redis.call('MGET', KEYS[3], KEYS[5])
  last = tonumber(marks[1] or 0)
  if marks[2] then
    local after, lost = string.match(marks[2], '^(%d+) (%d+)')
    last, version = math.max(last, tonumber(after)), version + tonumber(lost)
  end
  if last < tonumber(ARGV[4]) then
    return { last }
  end
  if version ~= tonumber(ARGV[1]) then
    return version
  end
end

redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[2])
for i = 5, #ARGV, 3 do
  last = last + 1
  local at = string.format('%.0f', last)
  local added = redis.pcall('XADD', KEYS[4], at .. '-0', 't', ARGV[i], 'h', ARGV[i + 1], 'd', ARGV[i + 2])
  if type(added) == 'table' then
    redis.call('DEL', KEYS[1])
    return added
  end
  redis.call('RPUSH', KEYS[2], at)
end
if last then
  redis.call('SET', KEYS[3], string.format('%.0f', last))
  return -1 - last
end
return -1
