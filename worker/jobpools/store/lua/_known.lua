-- A part of enqueue.lua: set known[id] = true for each of `ids` that is known: the ids of jobs, and of ended jobs
--   whose records have not expired. Needs `now`, `ids`, `known` and the keys jobs results.
for from = 1, #ids, 1000 do
  local last = math.min(from + 999, #ids)
  local envelopes = redis.call('HMGET', jobs, unpack(ids, from, last))
  local records = redis.call('HMGET', results, unpack(ids, from, last))
  for i = 1, #envelopes do
    if envelopes[i] or records[i] then
      -- INCLUDE: taken
      local id = ids[from + i - 1]
      known[id] = envelopes[i] and true or is_taken(now, id, records[i])
    end
  end
end
