-- cancel: remove a job from its queue, or request that the worker which runs it stops it.
-- USES: clock records retain recorded notify handler_name
-- KEYS: jobs results done dead leases since cancelling totals waiters waiters_old ready_high ready_normal ready_low scheduled_high scheduled_normal scheduled_low
-- ARGV: now_ms id ttl
--   now_ms: the current time in ms; '' for the server's clock; ttl: ms for which the record is kept
-- RETURNS: the job's state now: cancelled, running (its worker will stop it), completed, dead, or '' (no such job)
-- CHANGES: jobs, ready or scheduled, results, done, totals; or cancelling, which renew returns to its worker
local now = clock(now_ms)
if redis.call('HEXISTS', jobs, id) == 0 then return recorded(now, id) or '' end
if redis.call('ZSCORE', dead, id) then return 'dead' end
-- Keys of another type are found before anything is removed.
for _, key in ipairs({since, totals, results, done}) do redis.call('HLEN', key) end
local found = 0
for _, key in ipairs({scheduled_high, scheduled_normal, scheduled_low}) do found = found + redis.call('ZREM', key, id) end
for _, key in ipairs({ready_high, ready_normal, ready_low}) do
  if found == 0 then found = redis.call('LREM', key, 1, id) end
end
if found == 0 then
  redis.call('SADD', cancelling, id)
  return 'running'
end
redis.call('HDEL', since, id)
retain(now, tonumber(ttl), 'x', {id}, {handler_name(id)}, {})
redis.call('HINCRBY', totals, 'cancelled', 1)
redis.call('HDEL', jobs, id)
notify({id})
return 'cancelled'
