-- publish adds messages to a stream, all of them or none.
--
-- KEYS[1] stream
-- ARGV    for each message: type ('' for none), meta, body
--
-- Reply: the id of the last one.

local id
for i = 1, #ARGV, 3 do
  if ARGV[i] == '' then
    id = redis.call('XADD', KEYS[1], '*', 'meta', ARGV[i + 1], 'body', ARGV[i + 2])
  else
    id = redis.call('XADD', KEYS[1], '*', 'type', ARGV[i], 'meta', ARGV[i + 1], 'body', ARGV[i + 2])
  end
end
return id
