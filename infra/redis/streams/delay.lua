-- delay keeps messages until their time has come, by the clock of the server. One
-- that is kept already is kept for longer.
--
-- KEYS[1] delayed  sorted set: packed messages by when they are due, in milliseconds since 1970
-- ARGV[1] delay    in milliseconds
-- ARGV[2…] packed messages
--
-- Reply: how many of them are new.

local now = redis.call('TIME')
local due = string.format('%.0f', tonumber(now[1]) * 1000 + math.ceil(tonumber(now[2]) / 1000) + tonumber(ARGV[1]))
local new = 0
for i = 2, #ARGV do
  new = new + redis.call('ZADD', KEYS[1], due, ARGV[i])
end
return new
