-- renew: extend the leases that a worker still holds.
-- USES: clock reclaim
-- KEYS: leases draining cancelling history dead since ready_high ready_normal ready_low scheduled_high scheduled_normal scheduled_low
-- ARGV: now_ms lease_ms ...
--   now_ms: the current time in ms; '' for the server's clock; lease_ms: ms from now; ...: the lease_ids
-- RETURNS: {lease_ids that are lost (their jobs do not belong to this worker any more), ids of running jobs to cancel}
-- CHANGES: the scores of leases that exist; leases that can be reclaimed exist again. A draining worker reclaims nothing:
--   its pod is gone or ends, and a reclaimed lease would expire with it.
-- A server beyond its maxmemory refuses a script whose first write takes memory. This one takes none, so leases are renewed.
redis.call('ZREM', leases, '')
local function is_locked_out(lease_id)
  return redis.call('SISMEMBER', draining, string.match(lease_id, ':([^:]*):[^:]*$')) == 1
end
local expiry = clock(now_ms) + tonumber(lease_ms)
local lost, scores, stopping = {}, {}, {}
if #ARGV > 2 then
  local lease_ids = {unpack(ARGV, 3)}
  local held = redis.call('ZMSCORE', leases, unpack(lease_ids))
  for i, lease_id in ipairs(lease_ids) do
    if held[i] or not is_locked_out(lease_id) and reclaim(expiry, lease_id) then
      scores[#scores + 1] = expiry
      scores[#scores + 1] = lease_id
    else
      lost[#lost + 1] = lease_id
    end
  end
  if #scores > 0 then redis.call('ZADD', leases, 'XX', unpack(scores)) end
  if redis.call('EXISTS', cancelling) == 1 then
    local ids = {}
    for i, lease_id in ipairs(lease_ids) do ids[i] = string.match(lease_id, '^(.*):[^:]*:[^:]*$') end
    for i, stops in ipairs(redis.call('SMISMEMBER', cancelling, unpack(ids))) do
      if stops == 1 then stopping[#stopping + 1] = ids[i] end
    end
  end
end
return {lost, stopping}
