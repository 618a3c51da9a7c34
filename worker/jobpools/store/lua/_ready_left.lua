-- ready_left(): return the number of jobs in the ready lists. Needs the keys ready_….
local function ready_left()
  return redis.call('LLEN', ready_high) + redis.call('LLEN', ready_normal) + redis.call('LLEN', ready_low)
end
