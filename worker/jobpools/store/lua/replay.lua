-- replay: put dead jobs back into their queue.
-- USES: clock wake
-- KEYS: dead history since wake ready_high ready_normal ready_low
-- ARGV: given channel queue ...
--   given: now in ms, '' for the server's clock; channel, queue: what to publish when the queue was empty
--   ...: for each job id, priority (h, n, l), its history with the counts set back
-- RETURNS: how many were dead and are queued now
-- CHANGES: dead, history, since, ready, wake
local now = clock(given)
local ready = {h = ready_high, n = ready_normal, l = ready_low}
local before, moved = ready_left(), 0
for i = 4, #ARGV, 3 do
  local id = ARGV[i]
  if redis.call('ZSCORE', dead, id) then
    redis.call('HSET', history, id, ARGV[i + 2])
    redis.call('HSET', since, id, now)
    redis.call('RPUSH', ready[ARGV[i + 1]], id)
    redis.call('ZREM', dead, id)
    moved = moved + 1
  end
end
if moved > 0 then
  wake_one()
  if before == 0 then redis.call('PUBLISH', channel, queue) end
end
return moved
