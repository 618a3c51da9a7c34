-- extend: renew all leases of a worker that cannot renew them itself, because a handler holds the GIL.
-- USES: clock
-- KEYS: leases
-- ARGV: now_ms worker lease_ms
--   now_ms: the current time in ms; '' for the server's clock; worker: its id; lease_ms: ms from now
-- RETURNS: how many leases were renewed
-- CHANGES: the scores of the worker's leases; no lease is added
local expiry, whose, renewed = clock(now_ms) + tonumber(lease_ms), ':' .. worker, 0
for _, lease_id in ipairs(redis.call('ZRANGE', leases, 0, -1)) do
  if string.match(lease_id, '(:[^:]*):[^:]*$') == whose then
    redis.call('ZADD', leases, 'XX', expiry, lease_id)
    renewed = renewed + 1
  end
end
return renewed
