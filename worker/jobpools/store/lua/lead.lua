-- lead: take, renew or give up the lead: one process at a time fires the schedules made in code.
-- KEYS: leader changes
-- ARGV: owner lease_ms
--   owner: the process that asks; lease_ms: for how long it leads without another call; 0 gives up the lead
-- RETURNS: the leader's fence (0: another one leads, or the lead was given up), and the number of changes of the schedules
-- CHANGES: leader, which expires; changes
local version = tonumber(redis.call('HGET', changes, 'version') or 0)
local holder = redis.call('HGET', leader, 'owner')
if holder and holder ~= owner then return {0, version} end
if tonumber(lease_ms) == 0 then
  redis.call('HDEL', leader, 'owner', 'fence')
  return {0, version}
end
if not holder then redis.call('HSET', leader, 'owner', owner, 'fence', redis.call('HINCRBY', changes, 'fence', 1)) end
redis.call('PEXPIRE', leader, lease_ms)
return {tonumber(redis.call('HGET', leader, 'fence')), version}
