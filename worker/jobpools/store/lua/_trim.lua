-- Forgets completed and cancelled jobs whose results' time is over; at most `limit`.
local function trim(now, limit)
  local over = redis.call('ZRANGE', done, '-inf', now, 'BYSCORE', 'LIMIT', 0, limit)
  if #over == 0 then return end
  redis.call('HDEL', history, unpack(over))
  redis.call('HDEL', jobs, unpack(over))
  redis.call('HDEL', results, unpack(over))
  redis.call('ZREM', done, unpack(over))
end
