-- complete(now, leased, first): settle one group of attempts that completed; `leased` is leases_of's.
--   ARGV from `first`: ms to keep the results (0: forget the jobs), number of jobs, their members, their records
--   Returns where the next group begins. Stale members are added to leased.stale and change nothing.
--   Needs `safely`, `notify`, `reclaim` and the keys jobs history results done leases cancelling totals.
local function complete(now, leased, first)
  local ttl, number = tonumber(ARGV[first]), tonumber(ARGV[first + 1])
  local members, records = first + 2, first + 2 + number
  local held = redis.call('ZMSCORE', leases, unpack(ARGV, members, records - 1))
  local expiry = string.format('%d', now + ttl)
  local ids, results_by_id, ids_by_expiry, n, id_of = {}, {}, {}, 0, leased.id_of
  for i = 0, number - 1 do
    local member = ARGV[members + i]
    held[i + 1] = held[i + 1] or reclaim(leased.expiry, member)
    if held[i + 1] then
      local id, at = id_of(member), 2 * n + 1
      n = n + 1
      ids[n] = id
      results_by_id[at], results_by_id[at + 1] = id, ARGV[records + i]
      ids_by_expiry[at], ids_by_expiry[at + 1] = expiry, id
    else
      leased.stale[#leased.stale + 1] = member
    end
  end
  if n > 0 then
    redis.call('ZREM', leases, unpack(ARGV, members, records - 1))
    safely(function()
      if redis.call('EXISTS', cancelling) == 1 then redis.call('SREM', cancelling, unpack(ids)) end
      redis.call('HINCRBY', totals, 'completed', n)
      if ttl > 0 then
        redis.call('HSET', results, unpack(results_by_id))
        redis.call('ZADD', done, unpack(ids_by_expiry))
      else
        redis.call('HDEL', history, unpack(ids))
        redis.call('HDEL', jobs, unpack(ids))
      end
    end, function()
      for i = 0, number - 1 do
        if held[i + 1] then redis.call('ZADD', leases, leased.expiry, ARGV[members + i]) end
      end
    end)
    notify(ids)
  end
  return records + number
end
