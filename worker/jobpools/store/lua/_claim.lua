-- claim_ready(leased, lease_suffix, most, order, left): lease up to `most` of the `left` ready jobs.
--   `leased` is as leases_of returns it, `order` as for step.lua.
--   Returns their ids, envelopes, histories (nil where no job has one), how many jobs are still ready, and since when the claimed
--   ones were, in ms (nil where no id is in `since`).
--   Needs `safely` and the keys jobs history leases since ready_….
local CLAIM_LIMIT = 1000  -- Lua passes at most about 8000 values to one command, and a lease takes two
local function claim_ready(leased, lease_suffix, most, order, left)
  local lists_of = {h = ready_high, n = ready_normal, l = ready_low}
  local wanted, ids, lists = math.min(most, CLAIM_LIMIT), {}, {}
  for letter, part in string.gmatch(order, '(%a)(%d*)') do
    if #ids >= wanted or #ids >= left then break end
    local popped = redis.call('LPOP', lists_of[letter], math.min(tonumber(part) or wanted, wanted - #ids))
    if popped then for _, id in ipairs(popped) do ids[#ids + 1], lists[#ids + 1] = id, lists_of[letter] end end
  end
  local envelopes, histories, times, expiries = {}, nil, nil, {}
  if #ids > 0 then safely(function()
    envelopes = redis.call('HMGET', jobs, unpack(ids))
    if redis.call('EXISTS', history) == 1 then histories = redis.call('HMGET', history, unpack(ids)) end
    if redis.call('EXISTS', since) == 1 then
      times = redis.call('HMGET', since, unpack(ids))
      redis.call('HDEL', since, unpack(ids))
    end
    local n = 0
    for i = 1, #ids do
      -- An id without an envelope is not a job any more: its envelope is returned as nil, and it is never leased.
      if envelopes[i] then
        expiries[n + 1], expiries[n + 2] = leased.expiry, ids[i] .. lease_suffix
        n = n + 2
      end
    end
    if n > 0 then redis.call('ZADD', leases, unpack(expiries)) end
  end, function()
    for i = #ids, 1, -1 do redis.call('LPUSH', lists[i], ids[i]) end
  end) end
  return ids, envelopes, histories, left - #ids, times
end
