-- raise sets a number unless a greater one is kept.
--
-- KEYS[1] string: a number
-- ARGV[1] the number
--
-- Reply: nothing of interest.

if tonumber(redis.call('GET', KEYS[1]) or 0) < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], ARGV[1])
end
return 0
