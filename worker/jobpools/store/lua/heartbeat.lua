-- heartbeat: store a worker's report, with the server's time before it, and read the worker's command.
-- USES: clock
-- KEYS: workers commands
-- ARGV: now_ms worker report
--   now_ms: the current time in ms; '' for the server's clock; report: JSON
-- RETURNS: {now in ms, the worker's command as `<ms> <JSON>`; '' if it has none}
-- CHANGES: workers commands; one report in a hundred also removes workers that have not reported for a day
local DAY = 86400000
redis.call('HDEL', workers, '') -- a first write that takes no memory: a server beyond its maxmemory accepts the rest
local now = clock(now_ms)
redis.call('HSET', workers, worker, string.format('%d ', now) .. report)
redis.call('PEXPIRE', workers, DAY)
if now % 100 == 0 then
  local all = redis.call('HGETALL', workers)
  for i = 1, #all, 2 do
    if (tonumber(string.match(all[i + 1], '^%d+')) or 0) < now - DAY then
      redis.call('HDEL', workers, all[i])
      redis.call('HDEL', commands, all[i])
    end
  end
end
local command = redis.call('HGET', commands, worker)
if command then redis.call('PEXPIRE', commands, DAY) end
return {now, command or ''}
