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
