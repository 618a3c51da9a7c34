-- Where a job goes whose attempt did not complete: by disposition, a function of (now, id, priority's letter, due, note).
local ready = {h = ready_high, n = ready_normal, l = ready_low}
local scheduled = {h = scheduled_high, n = scheduled_normal, l = scheduled_low}
local CANCELLED_TTL = 86400000
local settle = {}
function settle.retry(_, id, priority, due) redis.call('ZADD', scheduled[priority], due, id) end
settle['return'] = function(now, id, priority, due)
  if due ~= '' then return redis.call('ZADD', scheduled[priority], due, id) end
  redis.call('LPUSH', ready[priority], id)
  redis.call('HSET', since, id, now)
end
function settle.dead(now, id)
  redis.call('ZADD', dead, now, id)
  redis.call('HINCRBY', totals, 'dead', 1)
end
function settle.cancel(now, id, _, ttl, record)
  redis.call('HSET', results, id, record)
  redis.call('ZADD', done, now + ttl, id)
  redis.call('HINCRBY', totals, 'cancelled', 1)
end
