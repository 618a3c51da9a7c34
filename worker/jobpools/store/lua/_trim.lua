-- trim(now, limit, keep, classes, longest): remove the expired records, and then the oldest records beyond `keep`; at most
--   `limit` together. Returns how many it removed; if that is `limit`, there may be more to remove.
--   classes: as classes_of returns them
--   longest: length of the longest list of ended jobs that this script appended to, nil: unknown. If the queue cannot have
--   more than `keep` records with lists of this length, its records are not counted.
--   Needs the keys results done history.
local CLASSES = 42 -- number of classes of TTLs: a hundred years are less than 2^42 ms
local function trim(now, limit, keep, classes, longest)
  local names, has_expired = {}, false
  for class, bound in pairs(classes) do
    names[#names + 1] = class
    if bound <= now then has_expired = true end
  end
  -- With several lists remove_oldest reads `number` elements of each, so it is called for a hundred at a time.
  local fits = longest and keep >= 5000 and longest * CLASSES <= keep
  if not has_expired and (fits or redis.call('HLEN', results) <= keep) then return 0 end

  -- Remove the first `number` records of one class; `items` are the first elements of its list. Returns `number`.
  local function remove_first(class, items, number)
    if number == 0 then return 0 end
    local ids, list = {}, done .. ':' .. class
    for i = 1, number do ids[i] = string.sub(items[i], 13) end
    redis.call('LPOP', list, number)
    redis.call('HDEL', results, unpack(ids))
    if redis.call('EXISTS', history) == 1 then redis.call('HDEL', history, unpack(ids)) end
    local head = redis.call('LINDEX', list, 0)
    if head then
      local at, ttl = struct.unpack('>I6I6', head)
      redis.call('HSET', done, class, at + ttl)
    else
      redis.call('HDEL', done, class)
    end
    return number
  end

  -- Remove the expired records of one class, at most `most`; returns how many.
  local function remove_expired(class, most)
    local items, number = redis.call('LRANGE', done .. ':' .. class, 0, most - 1), 0
    if #items == 0 then redis.call('HDEL', done, class) end
    for i = 1, #items do
      local at, ttl = struct.unpack('>I6I6', items[i])
      if at + ttl > now then
        if number == 0 then redis.call('HSET', done, class, at + ttl) end
        break
      end
      number = i
    end
    return remove_first(class, items, number)
  end

  -- Remove the oldest `number` records of all classes; returns how many it removed.
  local function remove_oldest(number)
    local lists, found, numbers = {}, {}, {}
    for _, class in ipairs(names) do
      lists[class], numbers[class] = redis.call('LRANGE', done .. ':' .. class, 0, number - 1), 0
      for _, item in ipairs(lists[class]) do found[#found + 1] = {struct.unpack('>I6', item), class} end
    end
    if #names > 1 then
      table.sort(found, function(one, other)
        if one[1] ~= other[1] then return one[1] < other[1] end
        return one[2] < other[2]
      end)
    end
    for i = 1, math.min(number, #found) do numbers[found[i][2]] = numbers[found[i][2]] + 1 end
    for class, items in pairs(lists) do remove_first(class, items, numbers[class]) end
    return math.min(number, #found)
  end

  local left = limit
  for class, bound in pairs(classes) do
    if left > 0 and bound <= now then left = left - remove_expired(class, left) end
  end
  local excess = fits and 0 or math.min(left, redis.call('HLEN', results) - keep)
  while excess > 0 do
    local removed = remove_oldest(#names > 1 and math.min(excess, 100) or excess)
    if removed == 0 then break end
    excess, left = excess - removed, left - removed
  end
  return limit - left
end
