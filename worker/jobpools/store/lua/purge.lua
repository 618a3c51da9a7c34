-- purge: forget dead jobs for good.
-- KEYS: jobs history dead totals
-- ARGV: ...
--   ...: ids
-- RETURNS: how many were dead and are gone now
-- CHANGES: jobs, history, dead, totals
local gone = 0
for i = 1, #ARGV do
  if redis.call('ZSCORE', dead, ARGV[i]) then
    redis.call('HDEL', history, ARGV[i])
    redis.call('HDEL', jobs, ARGV[i])
    redis.call('ZREM', dead, ARGV[i])
    gone = gone + 1
  end
end
if gone > 0 then redis.call('HINCRBY', totals, 'purged', gone) end
return gone
