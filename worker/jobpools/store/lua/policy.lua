-- policy: set fields of a queue's policy, and wake a worker if it may claim jobs that wait.
-- USES: clock wake ready_left
-- KEYS: policy wake ready_high ready_normal ready_low
-- ARGV: now_ms channel queue ...
--   now_ms: the current time in ms; '' for the server's clock; channel, queue: what to publish when jobs wait and the queue is not paused
--   ...: for each field its name and its value ('' removes it; of `paused`, 'now' is replaced by the time in ms)
-- RETURNS: the fields that the policy then has, each followed by its value
-- CHANGES: policy, wake
local now = clock(now_ms)
redis.call('LLEN', wake) -- a key of another type is found before anything is written
local waiting = ready_left()
for i = 4, #ARGV, 2 do
  local field, value = ARGV[i], ARGV[i + 1]
  if field == 'paused' and value == 'now' then value = string.format('%.0f', now) end
  if value == '' then redis.call('HDEL', policy, field) else redis.call('HSET', policy, field, value) end
end
if waiting > 0 and redis.call('HEXISTS', policy, 'paused') == 0 then
  wake_one()
  redis.call('PUBLISH', channel, queue)
end
return redis.call('HGETALL', policy)
