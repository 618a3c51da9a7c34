-- extend: renew all leases of a worker that cannot renew them itself, because a handler holds the GIL.
-- USES: clock
-- KEYS: leases
-- ARGV: given worker lease
--   given: now in ms, '' for the server's clock; worker: its id; lease: ms from now
-- RETURNS: how many leases were renewed
-- CHANGES: the scores of the worker's leases; it never adds one
local expiry, whose, renewed = clock(given) + tonumber(lease), ':' .. worker, 0
for _, member in ipairs(redis.call('ZRANGE', leases, 0, -1)) do
  if string.match(member, '(:[^:]*):[^:]*$') == whose then
    redis.call('ZADD', leases, 'XX', expiry, member)
    renewed = renewed + 1
  end
end
return renewed
