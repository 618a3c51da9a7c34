local jobs, results, since, wake, totals, ready_high, ready_normal, ready_low, scheduled_high, scheduled_normal, scheduled_low = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local given, channel, queue = ARGV[1], ARGV[2], ARGV[3]
-- now in ms: the argument, or the server's own clock where it is empty. One clock for all leases.
local function clock(given)
  if given ~= '' then return tonumber(given) end
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- Leaves one token for one idle worker. Who takes it and leaves work behind passes it on, so there is never a herd.
local function wake_one()
  if redis.call('LLEN', wake) == 0 then
    redis.call('RPUSH', wake, 1)
    redis.call('PEXPIRE', wake, 60000)
  end
end

local function ready_left()
  return redis.call('LLEN', ready_high) + redis.call('LLEN', ready_normal) + redis.call('LLEN', ready_low)
end

-- What stays of ended jobs: records in `results`, for as long as their TTL says.
--   A record begins with a letter, c (completed) or x (cancelled), and 12 bytes: when the job ended and how long it is kept,
--   both in ms, 48 bits. Of a completed job "<ms that it ran> <name> <result>" follows, a number in place of most names (_handlers.lua).
--   Beside it the job stands in a list, in the order in which jobs ended, with the same 12 bytes before its id. There is one
--   list for each power of two of TTLs: a short one never waits behind a long one, and what is over goes within
--   twice its TTL. `done` says of each such class before which ms nothing in its list is over.
--   Needs the key results; `done`, its lists and `history` are named after it, where the script has no such key.
local beside = string.sub(results, 1, -#'results' - 1)
local done, history = beside .. 'done', beside .. 'history'
local function done_list(class) return done .. ':' .. class end
local function entry_of(at, ttl, id) return struct.pack('>I6I6', at, ttl) .. id end
local function class_of(ttl)
  local _, exponent = math.frexp(ttl)
  return string.format('%d', exponent)
end

-- classes_of(): by class, the ms of `done`.
local function classes_of()
  local found, flat = {}, redis.call('HGETALL', done)
  for i = 1, #flat, 2 do found[flat[i]] = tonumber(flat[i + 1]) end
  return found
end

-- retain(now, ttl, letter, ids, rest_of, classes): these jobs end now; rest_of(i) is what follows at and ttl in the record of ids[i].
--   classes: classes_of's, to which theirs is added. Returns how many jobs are in their list then.
local function retain(now, ttl, letter, ids, rest_of, classes)
  local class, front = class_of(ttl), entry_of(now, ttl, '')
  local head, pairs_of_record, entries = letter .. front, {}, {}
  for i = 1, #ids do
    pairs_of_record[2 * i - 1], pairs_of_record[2 * i] = ids[i], head .. rest_of(i)
    entries[i] = front .. ids[i]
  end
  if not classes[class] then
    redis.call('HSETNX', done, class, now + ttl)
    classes[class] = now + ttl
  end
  redis.call('HSET', results, unpack(pairs_of_record))
  return redis.call('RPUSH', done_list(class), unpack(entries))
end

-- state_in(now, record, id): the state that a record tells; of one that is over nil, its entry and its class.
local STATES = {c = 'completed', x = 'cancelled'}
local function state_in(now, record, id)
  local state = STATES[string.sub(record, 1, 1)]
  if not state or #record < 13 then return nil end
  local at, ttl = struct.unpack('>I6I6', record, 2)
  if at + ttl > now then return state end
  return nil, entry_of(at, ttl, id), class_of(ttl)
end

-- recorded(now, id): the state of a job that has ended, and whose record is not over; else nil.
local function recorded(now, id)
  local record = redis.call('HGET', results, id)
  return record and (state_in(now, record, id)) or nil
end

-- is_taken(now, id, record): whether a job that has ended has this id; `record` is its field of results. A record that is
--   over gives its id free.
local function is_taken(now, id, record)
  if not record then return false end
  local state, entry, class = state_in(now, record, id)
  if entry then
    redis.call('LREM', done_list(class), 1, entry)
    redis.call('HDEL', results, id)
    redis.call('HDEL', history, id)
  end
  return state ~= nil
end

-- enqueue: accept jobs into one queue, each at once or for a later time; an id that is known already is left alone.
-- USES: clock wake records
-- KEYS: jobs results since wake totals ready_high ready_normal ready_low scheduled_high scheduled_normal scheduled_low
-- ARGV: given channel queue ...
--   given: now in ms, '' for the server's clock; channel, queue: what to publish when the queue was empty
--   ...: for each job id, priority (h, n, l), due ('' for at once; ms from now; or '@' and ms since the epoch), envelope
-- RETURNS: for each job 1 (accepted) or 0 (the id was known, nothing written)
-- CHANGES: jobs, ready or scheduled, since, wake, totals; publishes the queue's name when it was empty before
local ready = {h = ready_high, n = ready_normal, l = ready_low}
local scheduled = {h = scheduled_high, n = scheduled_normal, l = scheduled_low}
local before = ready_left()
local now = clock(given)
local accepted, batches, count, pushed, sooner = {}, {h = {}, n = {}, l = {}}, 0, 0, false

-- An age is counted from the time in a UUIDv7. Where that is not now (the producer's clock is wrong, the job was made long
-- before it was sent, or the id is of another kind), `since` says it. Ids of one moment begin alike and are judged once.
local judged, agrees = nil, false
local function tells_now(id)
  local head = string.sub(id, 1, 15)
  if head ~= judged then
    local high, low = string.match(head, '^(%x%x%x%x%x%x%x%x)%-(%x%x%x%x)%-7$')
    judged, agrees = head, high ~= nil and math.abs(tonumber(high .. low, 16) - now) <= 1000
  end
  return agrees and #id == 36
end

-- Whatever can be wrong is found before anything is written.
local stamps, stamped, ids = {}, false, {}
if (#ARGV - 3) % 4 ~= 0 then return redis.error_reply('ERR four arguments a job') end
for i = 4, #ARGV, 4 do
  local due = ARGV[i + 2]
  if not ready[ARGV[i + 1]] then return redis.error_reply('ERR no such priority: ' .. ARGV[i + 1]) end
  if due == '' then
    if not tells_now(ARGV[i]) then stamps[i], stamped = true, true end
  else
    local digits = string.match(due, '^@%-?(%d+)$') or string.match(due, '^%d+$')
    if not (digits and #digits < 16) then return redis.error_reply('ERR no such time: ' .. due) end
    redis.call('ZCARD', scheduled[ARGV[i + 1]])
  end
  ids[#ids + 1] = ARGV[i]
end
if stamped then redis.call('HLEN', since) end
redis.call('HLEN', totals)
local taken = {}
for from = 1, #ids, 1000 do
  local records = redis.call('HMGET', results, unpack(ids, from, math.min(from + 999, #ids)))
  for i, record in ipairs(records) do
    local id = ids[from + i - 1]
    if record then taken[id] = is_taken(now, id, record) end
  end
end
redis.call('LLEN', wake)

for i = 4, #ARGV, 4 do
  local id, priority, due = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local new = taken[id] and 0 or redis.call('HSETNX', jobs, id, ARGV[i + 3])
  accepted[#accepted + 1] = new
  if new == 1 then
    count = count + 1
    if due ~= '' then
      local at = string.sub(due, 1, 1) == '@' and string.sub(due, 2) or now + tonumber(due)
      redis.call('ZADD', scheduled[priority], at, id)
      sooner = sooner or redis.call('ZRANGE', scheduled[priority], 0, 0)[1] == id
    else
      local batch = batches[priority]
      batch[#batch + 1] = id
      pushed = pushed + 1
      if stamps[i] then redis.call('HSET', since, id, now) end
    end
  end
end

for priority, batch in pairs(batches) do
  for from = 1, #batch, 1000 do
    redis.call('RPUSH', ready[priority], unpack(batch, from, math.min(from + 999, #batch)))
  end
end
if count > 0 then redis.call('HINCRBY', totals, 'enqueued', count) end
if pushed > 0 or sooner then wake_one() end
if before == 0 and pushed > 0 then redis.call('PUBLISH', channel, queue) end
return accepted
