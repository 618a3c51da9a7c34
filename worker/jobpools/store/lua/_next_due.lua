-- next_due(now): return the ms until the first scheduled job falls due, 0 if it is due; -1: no job is scheduled.
--   Needs the keys scheduled_….
local function next_due(now)
  local soonest = -1
  for _, key in ipairs({scheduled_high, scheduled_normal, scheduled_low}) do
    local head = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
    if head[2] then
      local wait = math.max(0, tonumber(head[2]) - now)
      if soonest < 0 or wait < soonest then soonest = wait end
    end
  end
  return soonest
end
