-- enqueue: accept jobs into one queue, each at once or for a later time; an id that is known is skipped.
-- USES: clock new_jobs
-- KEYS: jobs results wake totals ready_high ready_normal ready_low
-- ARGV: now_ms channel queue ...
--   now_ms: the current time in ms; '' for the server's clock; channel, queue: what to publish when the queue was empty
--   ...: for each job id, priority (h, n, l), due ('' for at once; ms from now; or '@' and ms since the epoch), envelope
--        ';' and ms behind `due`: the job expires this long after now; "expires_at", in ms, is added to its envelope
-- RETURNS: for each job 1 (accepted), 0 (the id was known, nothing written), 2 (the queue is full: it is a dead letter),
--   -1 (the queue is full: nothing written), -2 (too many jobs are scheduled: nothing written)
-- READS: policy
-- CHANGES: jobs, ready or scheduled, since, wake, totals, dead, history; publishes the queue's name when it was empty before
-- A key, a table or a function costs the server as much as a tenth of a command, so there are few. The keys that few calls
-- need are derived from that of results.
local now, known = clock(now_ms), {}
if expiring then
  for i, ms in pairs(expiring) do
    ARGV[i] = string.format('%s,"expires_at":%d}', string.sub(ARGV[i], 1, -2), now + tonumber(ms))
  end
end
-- INCLUDE: known

-- Read how many jobs the queue may still take. Only this script is limited: retries, due jobs and fired schedules always fit.
local MAX_DEPTH, MAX_SCHEDULED = 10000, 10000
local key_prefix = string.sub(results, 1, -#'results' - 1)
local limits = redis.call('HMGET', key_prefix .. 'policy', 'paused', 'max_depth', 'overflow', 'max_scheduled')
local max_depth, overflow = tonumber(limits[2] or MAX_DEPTH), limits[3] or 'Block'
local room, later_room, pushed = math.huge, nil, 0
if max_depth > 0 and redis.call('HLEN', jobs) + #ids > max_depth then   -- `jobs` has all ready jobs, and others
  -- INCLUDE: ready_left
  room = max_depth - ready_left()
end

-- Decide for each new job where it waits. An age is counted from the time in a UUIDv7. Where that is not now (the producer's
-- clock is wrong, the job was made long before it was sent, or the id has another form), `since` holds the time. Ids of one
-- millisecond begin with the same digits, which are compared once.
local accepted, fields, count, at_once, dropped = {}, {}, 0, {}, nil
local stamps, later, scheduled_sets, compared, is_now
for n = 1, #ids do
  local i, id = 4 * n, ids[n]
  local priority, due = ARGV[i + 1], ARGV[i + 2]
  if due ~= '' and not later_room then
    scheduled_sets = {h = key_prefix .. 'scheduled:high', n = key_prefix .. 'scheduled:normal', l = key_prefix .. 'scheduled:low'}
    later, later_room = {h = {}, n = {}, l = {}}, tonumber(limits[4] or MAX_SCHEDULED)
    local number = redis.call('ZCARD', scheduled_sets.h) + redis.call('ZCARD', scheduled_sets.n) + redis.call('ZCARD', scheduled_sets.l)
    later_room = later_room > 0 and later_room - number or math.huge
  end
  if known[id] then
    accepted[n] = 0
  elseif due == '' and room <= 0 and overflow == 'Block' then
    accepted[n] = -1
  elseif due ~= '' and later_room <= 0 then
    accepted[n] = -2
  else
    accepted[n] = 1
    known[id], fields[2 * count + 1], fields[2 * count + 2], count = 'new', id, ARGV[i + 3], count + 1
    if due == '' then room = room - 1 else later_room = later_room - 1 end
    if due == '' and room < 0 and overflow == 'DropNewest' then
      accepted[n], dropped = 2, dropped or {}
      dropped[#dropped + 1] = id
    elseif due == '' then
      pushed = pushed + 1
      local list = at_once[priority]
      if list then list[#list + 1] = id else at_once[priority] = {id} end
      local head = string.sub(id, 1, 15)
      if head ~= compared then
        local high, low = string.match(head, '^(%x%x%x%x%x%x%x%x)%-(%x%x%x%x)%-7$')
        compared, is_now = head, high and math.abs(tonumber(high .. low, 16) - now) <= 1000
      end
      if not is_now or #id ~= 36 then
        stamps = stamps or {}
        stamps[#stamps + 1], stamps[#stamps + 2] = id, now
      end
    else
      local set = later[priority]
      set[#set + 1] = string.sub(due, 1, 1) == '@' and string.sub(due, 2) or now + tonumber(due)
      set[#set + 1] = id
    end
  end
end
if count == 0 then return accepted end

-- Find keys of another type before anything is written; those of `jobs` and `totals` are found by HMGET and HINCRBY.
-- If the limit was lowered, each new job drops at most two old ones: several calls remove the excess, so that none is long.
if overflow == 'DropOldest' and room < 0 and pushed > 0 then dropped = math.min(-room, 2 * pushed) end
local has_token, sooner, was_empty = redis.call('LLEN', wake) > 0, false, pushed > 0
for priority in pairs(at_once) do was_empty = redis.call('LLEN', ready[priority]) == 0 and was_empty end
was_empty = was_empty and redis.call('EXISTS', ready_high, ready_normal, ready_low) == 0
if stamps or dropped then redis.call('HLEN', key_prefix .. 'since') end
if dropped then redis.call('ZCARD', key_prefix .. 'dead') redis.call('HLEN', key_prefix .. 'history') end

-- Write. Lua passes at most about 8000 values to one command.
redis.call('HINCRBY', totals, 'enqueued', count)
for from = 1, #fields, 2000 do redis.call('HSET', jobs, unpack(fields, from, math.min(from + 1999, #fields))) end
for priority, list in pairs(at_once) do
  for from = 1, #list, 2000 do redis.call('RPUSH', ready[priority], unpack(list, from, math.min(from + 1999, #list))) end
end
if stamps then
  for from = 1, #stamps, 2000 do redis.call('HSET', key_prefix .. 'since', unpack(stamps, from, math.min(from + 1999, #stamps))) end
end
if later then
  for priority, set in pairs(later) do
    local key = scheduled_sets[priority]
    for from = 1, #set, 2000 do redis.call('ZADD', key, unpack(set, from, math.min(from + 1999, #set))) end
    sooner = sooner or known[redis.call('ZRANGE', key, 0, 0)[1]] == 'new'
  end
end
if dropped then
  -- INCLUDE: overflow_keys notify overflow
  bury(now, overflow == 'DropOldest' and oldest(dropped) or dropped, max_depth, overflow)
end
if not has_token and (pushed > 0 or sooner) and not limits[1] then
  -- INCLUDE: wake
  wake_one()
end
if was_empty then redis.call('PUBLISH', channel, queue) end
return accepted
