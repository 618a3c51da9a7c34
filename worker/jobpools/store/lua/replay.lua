-- replay: put dead jobs back into their queue.
-- USES: clock wake ready_left died
-- KEYS: dead history since wake ready_high ready_normal ready_low
-- ARGV: now_ms channel queue ...
--   now_ms: the current time in ms; '' for the server's clock; channel, queue: what to publish when the queue was empty
--   ...: for each job (1000 at most) its id, when it died in ms (a job that died again since then is left alone; '': whenever it died),
--        priority (h, n, l), its history with the counts set back
-- RETURNS: how many dead jobs were put back
-- CHANGES: dead, history, since, ready, wake
local now = clock(now_ms)
local ready = {h = ready_high, n = ready_normal, l = ready_low}
-- Keys of another type are found before anything is written.
local before = ready_left()
for _, key in ipairs({history, since}) do redis.call('HLEN', key) end
redis.call('LLEN', wake)
local indices, ids = died(4, 4)
if #ids == 0 then return 0 end

local histories, times, lists = {}, {}, {h = {}, n = {}, l = {}}
for number, id in ipairs(ids) do
  local index, at = indices[number], 2 * number - 1
  histories[at], histories[at + 1] = id, ARGV[index + 3]
  times[at], times[at + 1] = id, now
  table.insert(lists[ARGV[index + 2]], id)
end
redis.call('HSET', history, unpack(histories))
redis.call('HSET', since, unpack(times))
for letter, list in pairs(lists) do
  if #list > 0 then redis.call('RPUSH', ready[letter], unpack(list)) end
end
redis.call('ZREM', dead, unpack(ids))
wake_one()
if before == 0 then redis.call('PUBLISH', channel, queue) end
return #ids
