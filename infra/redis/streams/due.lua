-- due moves messages whose time has come into the stream of their queue, those
-- that have waited longest first. Both keys are in one slot.
--
-- KEYS[1] delayed  sorted set: packed messages by when they are due, in milliseconds since 1970
-- KEYS[2] stream   of the queue
-- ARGV[1] limit    of the messages that are moved at once
--
-- A packed message is three netstrings: type, meta and body.
--
-- Reply: how many are moved, and in how many milliseconds the next one is due; -1
-- if there is none.

local function cut(packed, from)
  local colon = string.find(packed, ':', from, true)
  local last = colon + tonumber(string.sub(packed, from, colon - 1))
  return string.sub(packed, colon + 1, last), last + 1
end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now), 'LIMIT', 0, ARGV[1])
for i = 1, #found do
  local kind, meta, body, at
  kind, at = cut(found[i], 1)
  meta, at = cut(found[i], at)
  body = cut(found[i], at)
  if kind == '' then
    redis.call('XADD', KEYS[2], '*', 'meta', meta, 'body', body)
  else
    redis.call('XADD', KEYS[2], '*', 'type', kind, 'meta', meta, 'body', body)
  end
  redis.call('ZREM', KEYS[1], found[i])
end
local next = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if #next == 0 then
  return { #found, -1 }
end
return { #found, math.max(0, math.ceil(tonumber(next[2]) - now)) }
