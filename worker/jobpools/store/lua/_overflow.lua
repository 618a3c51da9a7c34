-- oldest(number): take the oldest jobs of the lowest priorities out of the ready lists; returns their ids.
-- bury(now, ids, max_depth, overflow): make jobs that do not fit into the queue dead letters.
--   Need `notify`, `overflow_keys` and the keys since totals ready_….
local function oldest(number)
  local ids = {}
  for _, list in ipairs({ready_low, ready_normal, ready_high}) do
    while #ids < number do
      local popped = redis.call('LPOP', list, math.min(number - #ids, 1000))
      if not popped then break end
      redis.call('HDEL', since, unpack(popped))
      for _, id in ipairs(popped) do ids[#ids + 1] = id end
    end
  end
  return ids
end

local function bury(now, ids, max_depth, overflow)
  local note = string.format('{"note":"Overflow: the queue was full (maxDepth %d), and its overflow is %s","reason":"overflow"}', max_depth, overflow)
  for from = 1, #ids, 1000 do
    local deaths, notes = {}, {}
    for i = from, math.min(from + 999, #ids) do
      deaths[#deaths + 1], deaths[#deaths + 2] = now, ids[i]
      notes[#notes + 1], notes[#notes + 2] = ids[i], note
    end
    redis.call('ZADD', dead_letters, unpack(deaths))
    redis.call('HSET', history, unpack(notes))
  end
  redis.call('HINCRBY', totals, 'dead', #ids)
  redis.call('HINCRBY', totals, 'overflowed', #ids)
  notify(ids)
end
