-- complete(now, leased, first, keep): settle one group of attempts that completed; `leased` is as leases_of returns it.
--   ARGV from `first`: ms to keep the results (0: keep no records), number of jobs, their lease_ids, their records
--   keep: maximum number of records that the queue keeps
--   Returns the index of the next group in ARGV. Stale lease_ids are added to leased.stale and change nothing.
--   Needs `safely`, `notify`, `reclaim`, `retain`, `short` and the keys jobs history results done leases cancelling totals.
local function complete(now, leased, first, keep)
  local ttl, number = tonumber(ARGV[first]), tonumber(ARGV[first + 1])
  local keeps = ttl > 0 and keep > 0
  local lease_ids, records = first + 2, first + 2 + number
  local held = redis.call('ZMSCORE', leases, unpack(ARGV, lease_ids, records - 1))
  local ids, rests, n = {}, {}, 0
  for i = 0, number - 1 do
    local lease_id = ARGV[lease_ids + i]
    if not held[i + 1] and reclaim(leased.expiry, lease_id) then held[i + 1] = 1 end
    if held[i + 1] then
      n = n + 1
      ids[n], rests[n] = string.sub(lease_id, 1, leased.id_end), keeps and short(ARGV[records + i])
    else
      leased.stale[#leased.stale + 1] = lease_id
    end
  end
  if n > 0 then
    redis.call('ZREM', leases, unpack(ARGV, lease_ids, records - 1))
    safely(function()
      if redis.call('EXISTS', cancelling) == 1 then redis.call('SREM', cancelling, unpack(ids)) end
      redis.call('HINCRBY', totals, 'completed', n)
      if keeps then
        leased.longest = math.max(leased.longest, retain(now, ttl, 'c', ids, rests, leased.classes))
      else
        redis.call('HDEL', history, unpack(ids))
      end
      redis.call('HDEL', jobs, unpack(ids))
      leased.completed = leased.completed + n
    end, function()
      for i = 0, number - 1 do
        if held[i + 1] then redis.call('ZADD', leases, leased.expiry, ARGV[lease_ids + i]) end
      end
    end)
    notify(ids)
  end
  return records + number
end
