-- retain(now, ttl, letter, ids, rests, classes): record that these jobs end now; rests[i] is what follows the two times in
--   the record of ids[i]. `classes` is as classes_of returns it; a new class is added. Returns the new length of the list.
--   Needs `class_of` and the keys results done.
local function retain(now, ttl, letter, ids, rests, classes)
  local class, front = class_of(ttl), struct.pack('>I6I6', now, ttl)
  local head, pairs_of_record, items = letter .. front, {}, {}
  for i = 1, #ids do
    pairs_of_record[2 * i - 1], pairs_of_record[2 * i] = ids[i], head .. rests[i]
    items[i] = front .. ids[i]
  end
  if not classes[class] then
    redis.call('HSETNX', done, class, now + ttl)
    classes[class] = now + ttl
  end
  redis.call('HSET', results, unpack(pairs_of_record))
  return redis.call('RPUSH', done .. ':' .. class, unpack(items))
end
