-- trim(now, limit, keep, classes, longest): forget the records that are over, and the oldest of those beyond `keep`; at most
--   `limit` in all. Returns how many it forgot: where that is `limit`, there may be more.
--   classes: classes_of's; longest: length of the longest list that was added to; where that is little beside a large `keep`,
--   nothing is counted; nil: not known. Needs `done_list` and the keys results done history.
local function forget_first(class, items, number)
  if number == 0 then return 0 end
  local ids = {}
  for i = 1, number do ids[i] = string.sub(items[i], 13) end
  redis.call('LPOP', done_list(class), number)
  redis.call('HDEL', results, unpack(ids))
  if redis.call('EXISTS', history) == 1 then redis.call('HDEL', history, unpack(ids)) end
  local head = redis.call('LINDEX', done_list(class), 0)
  if head then
    local at, ttl = struct.unpack('>I6I6', head)
    redis.call('HSET', done, class, at + ttl)
  else
    redis.call('HDEL', done, class)
  end
  return number
end

local function forget_over(now, class, limit)
  local items, number = redis.call('LRANGE', done_list(class), 0, limit - 1), 0
  if #items == 0 then redis.call('HDEL', done, class) end
  for i = 1, #items do
    local at, ttl = struct.unpack('>I6I6', items[i])
    if at + ttl > now then
      if number == 0 then redis.call('HSET', done, class, at + ttl) end
      break
    end
    number = i
  end
  return forget_first(class, items, number)
end

-- The oldest `number` of all lists: so many of each.
local function forget_oldest(classes, number)
  local lists, found, numbers = {}, {}, {}
  for _, class in ipairs(classes) do
    lists[class], numbers[class] = redis.call('LRANGE', done_list(class), 0, number - 1), 0
    for _, item in ipairs(lists[class]) do found[#found + 1] = {struct.unpack('>I6', item), class} end
  end
  if #classes > 1 then
    table.sort(found, function(one, other)
      if one[1] ~= other[1] then return one[1] < other[1] end
      return one[2] < other[2]
    end)
  end
  for i = 1, math.min(number, #found) do numbers[found[i][2]] = numbers[found[i][2]] + 1 end
  for class, items in pairs(lists) do forget_first(class, items, numbers[class]) end
  return math.min(number, #found)
end

local CLASSES = 42 -- of TTLs: a hundred years are less than 2^42 ms
local function trim(now, limit, keep, classes, longest)
  local gone, left, there = 0, limit, {}
  for class, bound in pairs(classes) do
    if left > 0 and bound <= now then left = left - forget_over(now, class, left) end
    there[#there + 1] = class
  end
  -- With several lists a hundred at once: as many are read of each, however few of one are the oldest.
  local few = longest and keep >= 5000 and longest * CLASSES <= keep
  local excess = few and 0 or math.min(left, redis.call('HLEN', results) - keep)
  while excess > 0 do
    gone = forget_oldest(there, #there > 1 and math.min(excess, 100) or excess)
    if gone == 0 then break end
    excess, left = excess - gone, left - gone
  end
  return limit - left
end

-- drop_dead(limit, keep): forget the dead letters beyond `keep`, those that died first, at most `limit`; returns how many.
--   They are counted in the total `dropped`. Needs the keys jobs history dead totals.
local function drop_dead(limit, keep)
  local excess = math.min(limit, redis.call('ZCARD', dead) - keep)
  if excess <= 0 then return 0 end
  local ids = redis.call('ZRANGE', dead, 0, excess - 1)
  redis.call('HINCRBY', totals, 'dropped', #ids)
  redis.call('ZREM', dead, unpack(ids))
  redis.call('HDEL', history, unpack(ids))
  redis.call('HDEL', jobs, unpack(ids))
  return #ids
end
