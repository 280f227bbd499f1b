-- standing returns what is needed to look up events, as it is at one moment. All keys belong
-- to one handler.
--
-- KEYS[1] ledger   hash
-- KEYS[2…] chunks  strings of bits
-- ARGV for each chunk: the first and the last byte that is asked for
--
-- Reply: the cursor at which the ledger begins, the watermark, and these bytes of each chunk,
-- or fewer where the others are 0; an empty list if the ledger has not begun.

local cursors = redis.call('HMGET', KEYS[1], 'b', 'w')
if not cursors[1] or not cursors[2] then
  return {}
end
for i = 2, #KEYS do
  cursors[i + 1] = redis.call('GETRANGE', KEYS[i], ARGV[2 * i - 3], ARGV[2 * i - 2])
end
return cursors
