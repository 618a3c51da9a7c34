-- promote(now, limit): move due jobs from `scheduled` to their ready lists, at most `limit` of each priority.
--   Returns how many were moved. Needs `safely` and the keys since ready_… scheduled_….
local function promote(now, limit)
  local moved = 0
  for index, scheduled in ipairs({scheduled_high, scheduled_normal, scheduled_low}) do
    local due = redis.call('ZRANGE', scheduled, '-inf', now, 'BYSCORE', 'LIMIT', 0, limit, 'WITHSCORES')
    if #due > 0 then
      local ids, pairs_of_since = {}, {}
      for i = 1, #due, 2 do
        ids[#ids + 1] = due[i]
        pairs_of_since[i], pairs_of_since[i + 1] = due[i], due[i + 1]
      end
      redis.call('ZREM', scheduled, unpack(ids))
      safely(function()
        redis.call('HSET', since, unpack(pairs_of_since))
        redis.call('RPUSH', ({ready_high, ready_normal, ready_low})[index], unpack(ids))
      end, function()
        for i = 1, #due, 2 do redis.call('ZADD', scheduled, due[i + 1], due[i]) end
      end)
      moved = moved + #ids
    end
  end
  return moved
end
