-- settle[disposition](now, id, letter of the priority, delay in ms, classes): move a job whose attempt did not complete.
--   For cancel, the delay is the TTL of the record, and `classes` is as classes_of returns it.
local scheduled = {h = scheduled_high, n = scheduled_normal, l = scheduled_low}
local CANCELLED_TTL = 86400000
local settle = {}
function settle.retry(now, id, priority, delay) redis.call('ZADD', scheduled[priority], now + (tonumber(delay) or 0), id) end
settle['return'] = function(now, id, priority, delay)
  if delay ~= '' then return redis.call('ZADD', scheduled[priority], now + tonumber(delay), id) end
  redis.call('LPUSH', ({h = ready_high, n = ready_normal, l = ready_low})[priority], id)
  redis.call('HSET', since, id, now)
end
function settle.dead(now, id)
  redis.call('ZADD', dead, now, id)
  redis.call('HINCRBY', totals, 'dead', 1)
end
function settle.cancel(now, id, _, ttl, classes)
  for _, key in ipairs({jobs, results, totals}) do redis.call('HLEN', key) end -- keys of another type are found before anything is written
  -- INCLUDE: handler_name
  retain(now, tonumber(ttl), 'x', {id}, {handler_name(id)}, classes)
  redis.call('HINCRBY', totals, 'cancelled', 1)
  redis.call('HDEL', jobs, id)
end

-- settle_one(now, leased, first): settle one attempt that did not complete; `leased` is as leases_of returns it.
--   ARGV from `first`: the six arguments of such a settlement, as step.lua names them
--   A stale lease_id is added to leased.stale and changes nothing.
--   Needs `safely`, `notify`, `reclaim`, `retain` and the keys jobs history results done leases dead since cancelling totals
--   ready_… scheduled_….
local function settle_one(now, leased, first)
  local lease_id, disposition, delay, new_history = ARGV[first], ARGV[first + 2], ARGV[first + 3], ARGV[first + 4]
  local id = string.sub(lease_id, 1, leased.id_end)
  if redis.call('ZREM', leases, lease_id) == 0 and not (reclaim(leased.expiry, lease_id) and redis.call('ZREM', leases, lease_id)) then
    leased.stale[#leased.stale + 1] = lease_id
    return
  end
  safely(function()
    if ARGV[first + 5] ~= '' then redis.call('HINCRBY', totals, ARGV[first + 5], 1) end
    if new_history == '' then redis.call('HDEL', history, id) end
    if new_history ~= '' and disposition ~= 'cancel' then redis.call('HSET', history, id, new_history) end
    if redis.call('SREM', cancelling, id) == 1 and disposition ~= 'dead' and disposition ~= 'cancel' then
      -- A cancelled job whose attempt ended otherwise must not run again.
      disposition, delay = 'cancel', CANCELLED_TTL
    end
    settle[disposition](now, id, ARGV[first + 1], delay, leased.classes)
  end, function() redis.call('ZADD', leases, leased.expiry, lease_id) end)
  if disposition == 'dead' or disposition == 'cancel' then notify({id}) end
end
