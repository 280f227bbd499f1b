-- claim claims what a dead consumer has read and not acknowledged, or removes the
-- consumer if there is nothing left. It is one step: two that claim at the same time
-- cannot get the same entry.
--
-- KEYS[1] stream
-- ARGV[1] group, ARGV[2] the dead consumer, ARGV[3] the new one
-- ARGV[4] limit of the entries in one reply
--
-- Reply: entries as XREADGROUP gives them, the oldest first; an empty list only
-- if nothing is left. Repeated because a reply was lost, it replies the same.

local function take(from)
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', ARGV[4], from)
  local ids = {}
  for i = 1, #pending do
    ids[i] = pending[i][1]
  end
  if #ids == 0 then
    return ids, false
  end
  -- Entries that are no longer in the stream are dropped by XCLAIM.
  return redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[3], 0, unpack(ids)), true
end

-- The new one has something already only if the script is repeated.
local entries, more = take(ARGV[3]), true
while #entries == 0 and more do
  entries, more = take(ARGV[2])
end
if #entries == 0 then
  redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
end
return entries
