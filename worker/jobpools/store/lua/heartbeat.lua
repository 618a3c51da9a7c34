-- heartbeat: a worker's report, with the server's time before it.
-- USES: clock
-- KEYS: workers
-- ARGV: given worker report
--   given: now in ms, '' for the server's clock; report: JSON
-- RETURNS: now in ms
-- CHANGES: workers
local now = clock(given)
redis.call('HSET', workers, worker, string.format('%d ', now) .. report)
redis.call('PEXPIRE', workers, 86400000)
return now
