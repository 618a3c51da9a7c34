-- drain: the lock of a scale-down: this worker claims no more, if it holds no lease now.
-- KEYS: leases draining
-- ARGV: worker
-- RETURNS: 1 when it may not claim any more, 0 when it holds a lease and nothing was changed
-- CHANGES: draining
local within = ':' .. worker .. ':'
for _, member in ipairs(redis.call('ZRANGE', leases, 0, -1)) do
  if string.find(member, within, 1, true) and string.match(member, ':([^:]*):[^:]*$') == worker then return 0 end
end
redis.call('SADD', draining, worker)
redis.call('PEXPIRE', draining, 3600000)
return 1
