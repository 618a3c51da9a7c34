-- drain: lock a worker for a scale-down, if it holds no lease: it cannot claim any more.
-- KEYS: leases draining
-- ARGV: worker
-- RETURNS: 1 where the worker is locked, 0 where it holds a lease and nothing was changed
-- CHANGES: draining
local DRAINING_TTL = 3600000 -- ms that a queue's locks last after the latest one was taken
local within = ':' .. worker .. ':'
for _, lease_id in ipairs(redis.call('ZRANGE', leases, 0, -1)) do
  if string.find(lease_id, within, 1, true) and string.match(lease_id, ':([^:]*):[^:]*$') == worker then return 0 end
end
redis.call('SADD', draining, worker)
redis.call('PEXPIRE', draining, DRAINING_TTL)
return 1
