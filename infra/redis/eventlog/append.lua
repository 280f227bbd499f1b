-- append stores the events of one decision and the outcome of its command, or
-- nothing. All keys belong to one partition.
--
-- KEYS[1] outcome   string: the outcome of this command
-- KEYS[2] index     list: the positions of the aggregate's events
-- KEYS[3] end       string: the position of the partition's last event
-- KEYS[4] log       stream: the events of the partition
-- ARGV[1] version   that the aggregate must have; ignored without events
-- ARGV[2] ttl       of the outcome in milliseconds
-- ARGV[3] outcome   as it is to be stored
-- ARGV[4…] for each event: type, head, data
--
-- Reply: the outcome stored before under this command (a string, and nothing is
-- written); or -1: everything is written; or the aggregate's version, which is
-- not the expected one, and nothing is written.
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
local next -- the position of the next event
if #ARGV > 3 then
  local version = redis.call('LLEN', KEYS[2])
  if version ~= tonumber(ARGV[1]) then
    return version
  end
  next = tonumber(redis.call('GET', KEYS[3]) or 0) + 1
end

redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[2])
for i = 4, #ARGV, 3 do
  local at = string.format('%.0f', next)
  local added = redis.pcall('XADD', KEYS[4], at .. '-0', 't', ARGV[i], 'h', ARGV[i + 1], 'd', ARGV[i + 2])
  if type(added) == 'table' then
    redis.call('DEL', KEYS[1])
    return added
  end
  redis.call('RPUSH', KEYS[2], at)
  next = next + 1
end
if next then
  redis.call('SET', KEYS[3], string.format('%.0f', next - 1))
end
return -1
