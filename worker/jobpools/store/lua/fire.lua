-- fire: enqueue the jobs of due ticks, each once: a tick is skipped where it, or a later one, was fired into this queue.
-- USES: clock wake ready_left taken
-- KEYS: jobs results since wake totals fires ready_high ready_normal ready_low
-- ARGV: now_ms channel queue ...
--   now_ms: the current time in ms; '' for the server's clock; channel, queue: what to publish when the queue was empty
--   ...: for each tick, a schedule's in order: schedule, created, due in ms, job id, priority (h, n, l), envelope
--        created: since when its ticks count, in ms; a schedule that was created again has fired nothing yet
-- RETURNS: for each tick 1 (its job was enqueued) or 0 (it was fired before, nothing was written)
-- CHANGES: fires, jobs, ready, since, wake, totals; publishes the queue's name when it was empty before
local now = clock(now_ms)
local ready = {h = ready_high, n = ready_normal, l = ready_low}
local before, accepted, count = ready_left(), {}, 0

-- Keys of another type are found before anything is written.
for _, key in ipairs({jobs, results, since, totals, fires}) do redis.call('HLEN', key) end
redis.call('LLEN', wake)

-- The job's id does not suffice to find a duplicate: a job whose result is not kept is removed when it completes.
local function is_new(schedule, created, due)
  local known_created, latest = string.match(redis.call('HGET', fires, schedule) or '', '^(%d+) (%d+)$')
  return known_created ~= created or tonumber(due) > tonumber(latest)
end

for i = 4, #ARGV, 6 do
  local schedule, created, due, id = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local new = is_new(schedule, created, due) and not is_taken(now, id, redis.call('HGET', results, id)) and redis.call('HSETNX', jobs, id, ARGV[i + 5]) or 0
  accepted[#accepted + 1] = new
  if new == 1 then
    redis.call('HSET', fires, schedule, created .. ' ' .. due)
    redis.call('HSET', since, id, now)
    redis.call('RPUSH', ready[ARGV[i + 4]], id)
    count = count + 1
  end
end

if count > 0 then
  redis.call('HINCRBY', totals, 'enqueued', count)
  wake_one()
  if before == 0 then redis.call('PUBLISH', channel, queue) end
end
return accepted
