-- record notes that a handler has handled messages.
--
-- KEYS    one for each message
-- ARGV[1] how long they are kept, in milliseconds
--
-- Reply: how many there are.

for i = 1, #KEYS do
  redis.call('SET', KEYS[i], '', 'PX', ARGV[1])
end
return #KEYS
