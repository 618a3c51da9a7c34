local jobs, since, wake, totals, ready_high, ready_normal, ready_low, scheduled_high, scheduled_normal, scheduled_low = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
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

-- enqueue: accept jobs into one queue, each at once or for a later time; an id that is known already is left alone.
-- USES: clock wake
-- KEYS: jobs since wake totals ready_high ready_normal ready_low scheduled_high scheduled_normal scheduled_low
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

-- Whatever can be wrong is found before anything is written.
if (#ARGV - 3) % 4 ~= 0 then return redis.error_reply('ERR four arguments a job') end
for i = 4, #ARGV, 4 do
  local due = ARGV[i + 2]
  if not ready[ARGV[i + 1]] then return redis.error_reply('ERR no such priority: ' .. ARGV[i + 1]) end
  local digits = string.match(due, '^@%-?(%d+)$') or string.match(due, '^%d+$')
  if due ~= '' and not (digits and #digits < 16) then return redis.error_reply('ERR no such time: ' .. due) end
  if due ~= '' then redis.call('ZCARD', scheduled[ARGV[i + 1]]) end
end
for _, key in ipairs({since, totals}) do redis.call('HLEN', key) end
redis.call('LLEN', wake)

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

for i = 4, #ARGV, 4 do
  local id, priority, due = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local new = redis.call('HSETNX', jobs, id, ARGV[i + 3])
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
      if not tells_now(id) then redis.call('HSET', since, id, now) end
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
