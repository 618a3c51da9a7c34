-- run_now: make scheduled jobs ready at once.
-- USES: clock wake ready_left
-- KEYS: since wake ready_high ready_normal ready_low scheduled_high scheduled_normal scheduled_low
-- ARGV: now_ms channel queue ...
--   now_ms: the current time in ms; '' for the server's clock; channel, queue: what to publish when the queue was empty
--   ...: job ids (1000 at most)
-- RETURNS: how many scheduled jobs are queued now
-- CHANGES: scheduled, ready, since, wake
local now, ids = clock(now_ms), {unpack(ARGV, 4)}
if #ids == 0 then return 0 end
-- Keys of another type are found before anything is written.
local before = ready_left()
redis.call('HLEN', since)
redis.call('LLEN', wake)
local moved = 0
for index, scheduled in ipairs({scheduled_high, scheduled_normal, scheduled_low}) do
  local due = redis.call('ZMSCORE', scheduled, unpack(ids))
  local found, times, seen = {}, {}, {}
  for i, id in ipairs(ids) do
    if due[i] and not seen[id] then
      seen[id], found[#found + 1] = true, id
      times[#times + 1], times[#times + 2] = id, now
    end
  end
  if #found > 0 then
    redis.call('ZREM', scheduled, unpack(found))
    redis.call('HSET', since, unpack(times))
    redis.call('RPUSH', ({ready_high, ready_normal, ready_low})[index], unpack(found))
    moved = moved + #found
  end
end
if moved > 0 then wake_one() end
if moved > 0 and before == 0 then redis.call('PUBLISH', channel, queue) end
return moved
