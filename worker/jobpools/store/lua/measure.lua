-- measure: add what one worker measured, and what changed in the queue, to the current minute of the queue's history.
-- USES: clock
-- KEYS: minutes totals leases dead ready_high ready_normal ready_low scheduled_high scheduled_normal scheduled_low
-- ARGV: now_ms busy_ms slot_ms waiting running
--   now_ms: the current time in ms; '' for the server's clock; busy_ms: for how long slots ran jobs
--   slot_ms: for how long slots could have run them
--   waiting, running: histograms as MessagePack, {scale, first bucket, {counts}}; core/histogram.py describes the buckets
-- RETURNS: the minute: minutes since the epoch
-- CHANGES: minutes. Field `minute modulo 1440` holds a record as store/minutes.py has it, `last` the totals that are counted.
--   A record takes at most LIMIT bytes: where it would take more, the larger histogram's resolution is halved
local MINUTES, LIMIT, EXPIRY = 1440, 156, 172800000
local TOTALS = {'enqueued', 'completed', 'failed', 'crashed', 'dead', 'cancelled', 'dropped', 'overflowed'}

-- coarsen(histogram): join buckets 2i - 1 and 2i.
local function coarsen(histogram)
  local first, counts = math.floor((histogram[2] + 1) / 2), {}
  for i, count in ipairs(histogram[3]) do
    local at = math.floor((histogram[2] + i) / 2) - first + 1
    counts[at] = (counts[at] or 0) + count
  end
  return {histogram[1] - 1, first, counts}
end

-- sum(a, b): return one histogram of both, at the lower scale.
local function sum(a, b)
  if #a[3] == 0 or #b[3] == 0 then return #a[3] == 0 and b or a end
  while a[1] > b[1] do a = coarsen(a) end
  while b[1] > a[1] do b = coarsen(b) end
  local first, counts = math.min(a[2], b[2]), {}
  for at = first, math.max(a[2] + #a[3], b[2] + #b[3]) - 1 do
    counts[#counts + 1] = (a[3][at - a[2] + 1] or 0) + (b[3][at - b[2] + 1] or 0)
  end
  return {a[1], first, counts}
end

local now = clock(now_ms)
local minute = math.floor(now / 60000)
local index = minute % MINUTES
local stored = redis.call('HMGET', minutes, index, 'last')

-- The jobs in each state now.
local queued = redis.call('LLEN', ready_high) + redis.call('LLEN', ready_normal) + redis.call('LLEN', ready_low)
local later = redis.call('ZCARD', scheduled_high) + redis.call('ZCARD', scheduled_normal) + redis.call('ZCARD', scheduled_low)
local states = {queued, later, redis.call('ZCARD', leases), redis.call('ZCARD', dead)}

-- What was counted since the last call. The first call counts the jobs that have not ended as enqueued, and nothing else.
local counted = redis.call('HMGET', totals, unpack(TOTALS))
for i = 1, #TOTALS do counted[i] = tonumber(counted[i] or 0) end
local last = stored[2] and cmsgpack.unpack(stored[2])
if not last then
  last = {unpack(counted)}
  last[1] = math.max(0, last[1] - states[1] - states[2] - states[3])
end

local record = stored[1] and cmsgpack.unpack(stored[1])
if not record or record[1] ~= minute then
  record = {minute, {0, 0, 0, 0, 0, 0, 0, 0}, {0, 0, 0, 0}, 0, 0, {0, 0, {}}, {0, 0, {}}}
end
for i = 1, #TOTALS do record[2][i] = record[2][i] + math.max(0, counted[i] - (last[i] or 0)) end
for i = 1, #states do record[3][i] = math.max(record[3][i], states[i]) end
record[4], record[5] = record[4] + tonumber(busy_ms), record[5] + tonumber(slot_ms)
record[6], record[7] = sum(record[6], cmsgpack.unpack(waiting)), sum(record[7], cmsgpack.unpack(running))
local packed = cmsgpack.pack(record)
while #packed > LIMIT and #record[6][3] + #record[7][3] > 2 do
  local larger = #record[6][3] > #record[7][3] and 6 or 7
  record[larger] = coarsen(record[larger])
  packed = cmsgpack.pack(record)
end
redis.call('HSET', minutes, index, packed, 'last', cmsgpack.pack(counted))
redis.call('PEXPIRE', minutes, EXPIRY)
return minute
