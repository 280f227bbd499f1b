-- append stores the events of one decision and the outcome of its command, or
-- nothing. All keys belong to one partition.
--
-- KEYS[1] outcome   string: the outcome of this command
-- KEYS[2] index     list: the positions of the aggregate's events
-- KEYS[3] end       string: the position of the partition's last event
-- KEYS[4] log       stream: the events of the partition
-- ARGV[1] version   that the aggregate must have; not looked at without events
-- ARGV[2] ttl       of the outcome in milliseconds
-- ARGV[3] outcome   as it is to be stored
-- ARGV[4…] for each event: type, head, data
--
-- Reply: the outcome stored before under this command (a string, and nothing is
-- written); or -1: everything is written; or the aggregate's version, which is
-- not the expected one, and nothing is written.

local stored = redis.call('GET', KEYS[1])
if stored then
  return stored
end

if #ARGV > 3 then
  local version = redis.call('LLEN', KEYS[2])
  if version ~= tonumber(ARGV[1]) then
    return version
  end
  local position = tonumber(redis.call('GET', KEYS[3]) or 0)
  -- The entry is the first write: if the stream refuses the id, nothing is done.
  for i = 4, #ARGV, 3 do
    position = position + 1
    local at = string.format('%.0f', position)
    redis.call('XADD', KEYS[4], at .. '-0', 't', ARGV[i], 'h', ARGV[i + 1], 'd', ARGV[i + 2])
    redis.call('RPUSH', KEYS[2], at)
  end
  redis.call('SET', KEYS[3], string.format('%.0f', position))
end

redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[2])
return -1
