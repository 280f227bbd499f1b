-- load returns the history of one aggregate from its snapshot on, or one page of
-- it. All keys belong to one partition.
--
-- KEYS[1] index     list: the positions of the aggregate's events
-- KEYS[2] snapshot  hash: version, schema, state, position
-- KEYS[3] log       stream: the events of the partition
-- KEYS[4] gaps      string: what the partition has lost, see gaps.go; its second number
--                   is how many events these are
-- ARGV[1] schema    of the snapshots that are of use; '' for none
-- ARGV[2] after     how many of the events the caller has
-- ARGV[3] limit     of the events in one reply
--
-- Reply: the number of the aggregate's events, the number of versions skipped because
-- the partition has lost events, the snapshot's version (0 for none), how many events it
-- stands for, its state, and a flat list of position, type, head and data of each event
-- that follows. An event that the index knows and the log does not ends the list.
--
-- A snapshot of version n stands for n events, unless the partition has lost some: then
-- for those up to its position in the log, which no other event has ever had. One whose
-- event is gone is not used.

local count = redis.call('LLEN', KEYS[1])
local gaps = redis.call('GET', KEYS[4])
local skipped = gaps and tonumber(string.match(gaps, '^%d+ (%d+)')) or 0
local after = tonumber(ARGV[2])
local taken, state = 0, ''

if ARGV[1] ~= '' then
  local snapshot = redis.call('HMGET', KEYS[2], 'version', 'schema', 'state', 'position')
  local at = tonumber(snapshot[1] or 0)
  if snapshot[2] == ARGV[1] and snapshot[3] and at then
    local stands = at
    if gaps then
      stands = snapshot[4] and redis.call('LPOS', KEYS[1], snapshot[4])
      stands = stands and stands + 1 or 0
    end
    if stands > after and stands <= count then
      taken, state, after = at, snapshot[3], stands
    end
  end
end

local events, n, first = {}, 0, after
if count > after then
  local positions = redis.call('LRANGE', KEYS[1], after, after + tonumber(ARGV[3]) - 1)
  local i = 1
  while i <= #positions do
    -- Events that stand side by side in the log, such as those of one append, are
    -- read at once.
    local last = i
    while last < #positions and tonumber(positions[last + 1]) == tonumber(positions[last]) + 1 do
      last = last + 1
    end
    local entries = redis.call('XRANGE', KEYS[3], positions[i] .. '-0', positions[last] .. '-0')
    for j = 1, #entries do
      local fields = entries[j][2]
      events[n + 1], events[n + 2], events[n + 3], events[n + 4] = positions[i + j - 1], fields[2], fields[4], fields[6]
      n = n + 4
    end
    if #entries < last - i + 1 then
      break
    end
    i = last + 1
  end
end
return { count, skipped, taken, first, state, events }
