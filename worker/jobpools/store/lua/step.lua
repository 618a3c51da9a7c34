-- step: settle a batch of finished attempts, then claim up to `claim` jobs, in one round trip.
-- USES: clock safely promote settle trim wake
-- KEYS: jobs history results done leases dead since wake draining cancelling totals ready_high ready_normal ready_low scheduled_high scheduled_normal scheduled_low
-- ARGV: given worker claim tail lease order completed ...
--   given: now in ms, '' for the server's clock; tail: what follows an id in the leases of this claim (":worker:number")
--   lease: ms until the new leases expire; order: the priorities in the order they are asked, as in "hnl"; one may be asked
--   for at most so many first, as in "h5n3l1hnl"
--   ...: first, `completed` times: ms to keep the results (0: forget the jobs), number of jobs, their members, their records
--   ...: then for each other settlement: member, priority (h, n, l), disposition, due in ms ('' for now; for cancel: ms to
--        keep the record), history ('' for none; for cancel: the record), total to count in ('' for none)
-- RETURNS: {ids, envelopes, histories or nil, stale members, ms until the next scheduled job or -1, draining 0/1, ready left}
-- CHANGES: whatever the settlements say; each only if exactly its member is among the leases: else it is stale, and skipped
local CLAIM_LIMIT = 1000  -- Lua passes at most some 8000 values to one command, and a lease takes two
local now = clock(given)
-- As a string, once: the server would print the number anew for each job.
local tail_length, stale, lease_expiry = #tail, {}, string.format('%d', now + tonumber(lease))
local function id_of(member) return string.sub(member, 1, -tail_length - 1) end

local first = 8
for _ = 1, tonumber(completed) do
  local ttl, number = tonumber(ARGV[first]), tonumber(ARGV[first + 1])
  local members, records = first + 2, first + 2 + number
  first = records + number
  local held = redis.call('ZMSCORE', leases, unpack(ARGV, members, records - 1))
  local expiry = string.format('%d', now + ttl)
  local ids, results_by_id, ids_by_expiry, n = {}, {}, {}, 0
  for i = 0, number - 1 do
    local member = ARGV[members + i]
    if held[i + 1] then
      local id, at = id_of(member), 2 * n + 1
      n = n + 1
      ids[n] = id
      results_by_id[at], results_by_id[at + 1] = id, ARGV[records + i]
      ids_by_expiry[at], ids_by_expiry[at + 1] = expiry, id
    else
      stale[#stale + 1] = member
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
        if held[i + 1] then redis.call('ZADD', leases, lease_expiry, ARGV[members + i]) end
      end
    end)
  end
end

for i = first, #ARGV, 6 do
  local member, disposition, due, note = ARGV[i], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local id = id_of(member)
  if redis.call('ZREM', leases, member) == 0 then
    stale[#stale + 1] = member
  else
    safely(function()
      if ARGV[i + 5] ~= '' then redis.call('HINCRBY', totals, ARGV[i + 5], 1) end
      if note == '' then redis.call('HDEL', history, id) end
      if note ~= '' and disposition ~= 'cancel' then redis.call('HSET', history, id, note) end
      if redis.call('SREM', cancelling, id) == 1 and disposition ~= 'dead' and disposition ~= 'cancel' then
        -- It was asked to stop and would run again, were this not its end.
        disposition, due, note = 'cancel', CANCELLED_TTL, string.format('{"state":"cancelled","at":%.3f}', now / 1000)
      end
      settle[disposition](now, id, ARGV[i + 1], due, note)
    end, function() redis.call('ZADD', leases, lease_expiry, member) end)
  end
end
trim(now, 200)
local later = redis.call('EXISTS', scheduled_high, scheduled_normal, scheduled_low) > 0
if later then promote(now, 200) end

local wanted, ids, lists = math.min(tonumber(claim), CLAIM_LIMIT), {}, {}
local stopped, left = redis.call('SISMEMBER', draining, worker), ready_left()
if stopped == 0 then
  for letter, most in string.gmatch(order, '(%a)(%d*)') do
    if #ids >= wanted or #ids >= left then break end
    local popped = redis.call('LPOP', ready[letter], math.min(tonumber(most) or wanted, wanted - #ids))
    if popped then for _, id in ipairs(popped) do ids[#ids + 1], lists[#ids + 1] = id, ready[letter] end end
  end
  left = left - #ids
end
local envelopes, histories, expiries = {}, nil, {}
if #ids > 0 then safely(function()
  envelopes = redis.call('HMGET', jobs, unpack(ids))
  if redis.call('EXISTS', history) == 1 then histories = redis.call('HMGET', history, unpack(ids)) end
  if redis.call('EXISTS', since) == 1 then redis.call('HDEL', since, unpack(ids)) end
  local n = 0
  for i = 1, #ids do
    -- An id without an envelope is no job any more: it is handed out as nil and never leased.
    if envelopes[i] then
      expiries[n + 1], expiries[n + 2] = lease_expiry, ids[i] .. tail
      n = n + 2
    end
  end
  if n > 0 then redis.call('ZADD', leases, unpack(expiries)) end
end, function()
  for i = #ids, 1, -1 do redis.call('LPUSH', lists[i], ids[i]) end
end) end
if left > 0 then wake_one() end

local next_due = -1
if left == 0 and later then
  for _, key in pairs(scheduled) do
    local head = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
    if head[2] then
      local wait = math.max(0, tonumber(head[2]) - now)
      if next_due < 0 or wait < next_due then next_due = wait end
    end
  end
end
return {ids, envelopes, histories or {}, stale, next_due, stopped, left}
