local jobs, results, wake, totals, ready_high, ready_normal, ready_low = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local now_ms, channel, queue = ARGV[1], ARGV[2], ARGV[3]
-- clock(now_ms): return the current time in ms: the argument, or the server's clock if it is empty. All leases use one clock.
local function clock(now_ms)
  if now_ms ~= '' then return tonumber(now_ms) end
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- The first part of enqueue.lua: check the arguments, before anything is written.
--   ids: the ids of the jobs; ready: the ready lists by letter
--   expiring: index of an envelope in ARGV → ms after which the job expires; nil if no job of this call expires
--   In ARGV, a `due` with an expiry is replaced by its part before the semicolon. Needs the keys ready_….
local ready = {h = ready_high, n = ready_normal, l = ready_low}
local expiring, ids = nil, {}
if (#ARGV - 3) % 4 ~= 0 then return redis.error_reply('ERR enqueue: incomplete job; pass id, priority, due and envelope for each job') end
for i = 4, #ARGV, 4 do
  local due = ARGV[i + 2]
  if not ready[ARGV[i + 1]] then return redis.error_reply('ERR enqueue: unknown priority ' .. ARGV[i + 1] .. '; use h, n or l') end
  if due ~= '' then
    local start, expires = string.match(due, '^([^;]*);(%d+)$')
    if start and #expires < 16 then
      if string.sub(ARGV[i + 3], -1) ~= '}' then return redis.error_reply('ERR enqueue: the envelope does not end with }; send a JSON object') end
      expiring = expiring or {}
      expiring[i + 3], ARGV[i + 2] = expires, start
    else
      start = due
    end
    local digits = start == '' and '0' or string.match(start, '^@%-?(%d+)$') or string.match(start, '^%d+$')
    if not (digits and #digits < 16) then
      return redis.error_reply('ERR enqueue: invalid due time ' .. due .. "; use '', ms from now or @ms of the epoch, and ;ms for an expiry")
    end
  end
  ids[i / 4] = ARGV[i]
end

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
-- A part of enqueue.lua: set known[id] = true for each of `ids` that is known: the ids of jobs, and of ended jobs
--   whose records have not expired. Needs `now`, `ids`, `known` and the keys jobs results.
for from = 1, #ids, 1000 do
  local last = math.min(from + 999, #ids)
  local envelopes = redis.call('HMGET', jobs, unpack(ids, from, last))
  local records = redis.call('HMGET', results, unpack(ids, from, last))
  for i = 1, #envelopes do
    if envelopes[i] or records[i] then
-- is_taken(now, id, record): return whether an ended job still has this id; `record` is its field of results, in the form of
--   _records.lua. An expired record is removed, and its id is free.
--   This is one function because each function that a script defines costs about 0.3 µs a call. Needs the key results.
local HEAD_BYTES = 13
local function is_taken(now, id, record)
  if not record or #record < HEAD_BYTES or not string.find(record, '^[cx]') then return false end
  local at, ttl = struct.unpack('>I6I6', record, 2)
  if at + ttl > now then return true end
  local queue, _, exponent = string.sub(results, 1, -#'results' - 1), math.frexp(ttl)
  redis.call('LREM', string.format('%sdone:%d', queue, exponent), 1, string.sub(record, 2, HEAD_BYTES) .. id)
  redis.call('HDEL', results, id)
  redis.call('HDEL', queue .. 'history', id)
  return false
end

      local id = ids[from + i - 1]
      known[id] = envelopes[i] and true or is_taken(now, id, records[i])
    end
  end
end


-- Read how many jobs the queue may still take. Only this script is limited: retries, due jobs and fired schedules always fit.
local MAX_DEPTH, MAX_SCHEDULED = 10000, 10000
local key_prefix = string.sub(results, 1, -#'results' - 1)
local limits = redis.call('HMGET', key_prefix .. 'policy', 'paused', 'max_depth', 'overflow', 'max_scheduled')
local max_depth, overflow = tonumber(limits[2] or MAX_DEPTH), limits[3] or 'Block'
local room, later_room, pushed = math.huge, nil, 0
if max_depth > 0 and redis.call('HLEN', jobs) + #ids > max_depth then   -- `jobs` has all ready jobs, and others
-- ready_left(): return the number of jobs in the ready lists. Needs the keys ready_….
local function ready_left()
  return redis.call('LLEN', ready_high) + redis.call('LLEN', ready_normal) + redis.call('LLEN', ready_low)
end

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
-- The keys that only a queue with an overflow needs. Needs the local key_prefix.
local dead_letters, history, since = key_prefix .. 'dead', key_prefix .. 'history', key_prefix .. 'since'
local waiters, waiters_old = key_prefix .. 'waiters', key_prefix .. 'waiters:old'

-- notify(ids): publish that these jobs have ended to the channels that wait for them; a message is the queue and the ids.
--   Costs one EXISTS per script if no client waits. It never fails: a client that missed a message asks again within seconds.
--   Needs the keys waiters waiters_old.
local awaited
local function notify(ids)
  if awaited == nil then awaited = redis.call('EXISTS', waiters, waiters_old) > 0 end
  if not awaited or #ids == 0 then return end
  local messages = {}
  for _, key in ipairs({waiters, waiters_old}) do
    local notified = {}
    for i, channels in ipairs(redis.pcall('HMGET', key, unpack(ids))) do
      if channels then
        notified[#notified + 1] = ids[i]
        for channel in string.gmatch(channels, '%S+') do
          messages[channel] = (messages[channel] or string.match(waiters, '{(.*)}')) .. ' ' .. ids[i]
        end
      end
    end
    if #notified > 0 then redis.pcall('HDEL', key, unpack(notified)) end
  end
  for channel, message in pairs(messages) do redis.pcall('PUBLISH', channel, message) end
end

-- oldest(number): take the oldest jobs of the lowest priorities out of the ready lists; returns their ids.
-- bury(now, ids, max_depth, overflow): make jobs that do not fit into the queue dead letters.
--   Need `notify`, `overflow_keys` and the keys since totals ready_….
local function oldest(number)
  local ids = {}
  for _, list in ipairs({ready_low, ready_normal, ready_high}) do
    while #ids < number do
      local popped = redis.call('LPOP', list, math.min(number - #ids, 1000))
      if not popped then break end
      redis.call('HDEL', since, unpack(popped))
      for _, id in ipairs(popped) do ids[#ids + 1] = id end
    end
  end
  return ids
end

local function bury(now, ids, max_depth, overflow)
  local note = string.format('{"note":"Overflow: the queue was full (maxDepth %d), and its overflow is %s","reason":"overflow"}', max_depth, overflow)
  for from = 1, #ids, 1000 do
    local deaths, notes = {}, {}
    for i = from, math.min(from + 999, #ids) do
      deaths[#deaths + 1], deaths[#deaths + 2] = now, ids[i]
      notes[#notes + 1], notes[#notes + 2] = ids[i], note
    end
    redis.call('ZADD', dead_letters, unpack(deaths))
    redis.call('HSET', history, unpack(notes))
  end
  redis.call('HINCRBY', totals, 'dead', #ids)
  redis.call('HINCRBY', totals, 'overflowed', #ids)
  notify(ids)
end

  bury(now, overflow == 'DropOldest' and oldest(dropped) or dropped, max_depth, overflow)
end
if not has_token and (pushed > 0 or sooner) and not limits[1] then
-- wake_one(): add a token that wakes one idle worker, unless there is one. A worker that takes the token and leaves ready
--   jobs adds the next token, so that idle workers never all wake at once. Needs the key wake.
local function wake_one()
  if redis.call('LLEN', wake) == 0 then
    redis.call('RPUSH', wake, 1)
    redis.call('PEXPIRE', wake, 60000)
  end
end

  wake_one()
end
if was_empty then redis.call('PUBLISH', channel, queue) end
return accepted
