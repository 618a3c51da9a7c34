-- drop_dead(limit, keep, before): remove the oldest dead letters beyond `keep`, and those that died at `before` or earlier
--   (ms since the epoch; nil, false: of any age), at most `limit`; return how many.
--   They are counted in the total `dropped`. Needs the keys jobs history dead totals.
local function drop_dead(limit, keep, before)
  local excess = redis.call('ZCARD', dead) - keep
  if before then excess = math.max(excess, redis.call('ZCOUNT', dead, '-inf', before)) end
  excess = math.min(limit, excess)
  if excess <= 0 then return 0 end
  local ids = redis.call('ZRANGE', dead, 0, excess - 1)
  redis.call('HINCRBY', totals, 'dropped', #ids)
  redis.call('ZREM', dead, unpack(ids))
  redis.call('HDEL', history, unpack(ids))
  redis.call('HDEL', jobs, unpack(ids))
  return #ids
end
