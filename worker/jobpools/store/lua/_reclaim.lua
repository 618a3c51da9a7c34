-- reclaim(expiry, lease_id): restore the lease of an attempt that was recorded as crashed although its worker lives (the
--   process was stopped for longer than the lease). Returns whether it was restored. It is restored if the latest attempt in
--   the history is a crash under this lease and no other attempt has begun: the job is dead, scheduled, or ready within
--   SEARCHED ids of an end of its list. The job then runs under its old lease, and the crash is removed from its history.
--   Needs the keys history leases dead since ready_… scheduled_….
local SEARCHED = 1000
local ready_ids

local function reclaim(expiry, lease_id)
  -- Return the ready list that holds an id. The lists are read once a script, because a worker returns with many leases.
  local function list_of(id)
    if not ready_ids then
      ready_ids = {}
      for _, list in ipairs({ready_high, ready_normal, ready_low}) do
        for _, found in ipairs(redis.call('LRANGE', list, 0, SEARCHED - 1)) do ready_ids[found] = list end
        for _, found in ipairs(redis.call('LRANGE', list, -SEARCHED, -1)) do ready_ids[found] = list end
      end
    end
    return ready_ids[id]
  end

  local function without_last_crash(record)
    local past = cjson.decode(record)
    table.remove(past.entries)
    if #past.entries == 0 then past.entries = nil end
    past.crashes = math.max(0, (past.crashes or 0) - 1)
    past.note, past.reason = nil, nil
    local counts = past.crashes + (past.attempts or 0) + (past.snoozes or 0) + (past.replays or 0)
    if not past.entries and counts == 0 then return nil end
    return cjson.encode(past)
  end

  local function charged_to(record, worker, fence)
    local is_json, past = pcall(cjson.decode, record)
    local last = is_json and type(past) == 'table' and type(past.entries) == 'table' and past.entries[#past.entries]
    return last and last.outcome == 'crashed' and last.worker == worker and last.fence == fence
  end

  local id, worker, fence = string.match(lease_id, '^(.*):([^:]*):([^:]*)$')
  local record = id and redis.call('HGET', history, id)
  if not record or not charged_to(record, worker, fence) then return false end
  local set
  for _, key in ipairs({dead, scheduled_high, scheduled_normal, scheduled_low}) do
    if redis.call('ZSCORE', key, id) then set = key end
  end
  local list = not set and list_of(id)
  if not set and not list then return false end
  redis.call('HDEL', since, id)
  if set then redis.call('ZREM', set, id) elseif redis.call('LREM', list, 1, id) == 0 then return false end
  redis.call('ZADD', leases, expiry, lease_id)
  local past = without_last_crash(record)
  if past then redis.call('HSET', history, id, past) else redis.call('HDEL', history, id) end
  return true
end
