-- heartbeat: store a worker's report and the jobs that it runs, and read the worker's command.
-- USES: clock
-- KEYS: workers commands running settings
-- ARGV: now_ms worker report attempts
--   now_ms: the current time in ms; '' for the server's clock; report, attempts: JSON, stored with the time before it;
--   attempts: '' if the worker runs none, '-' to leave them as they are
-- RETURNS: {now in ms, the worker's command and its reload, each as `<ms> <JSON>`, the version of the pool's settings};
--   '' stands for what is not there
-- CHANGES: workers commands running settings; one report in a hundred also removes workers that have not reported for a day
local DAY = 86400000
redis.call('HDEL', workers, '') -- a first write that takes no memory: a server beyond its maxmemory accepts the rest
local now = clock(now_ms)
redis.call('HSET', workers, worker, string.format('%d ', now) .. report)
redis.call('PEXPIRE', workers, DAY)
if attempts == '' then
  redis.call('HDEL', running, worker)
elseif attempts ~= '-' then
  redis.call('HSET', running, worker, string.format('%d ', now) .. attempts)
  redis.call('PEXPIRE', running, DAY)
end
if now % 100 == 0 then
  local all = redis.call('HGETALL', workers)
  for i = 1, #all, 2 do
    if (tonumber(string.match(all[i + 1], '^%d+')) or 0) < now - DAY then
      redis.call('HDEL', workers, all[i])
      redis.call('HDEL', commands, all[i], all[i] .. ':reload', all[i] .. ':reloaded')
      redis.call('HDEL', running, all[i])
    end
  end
end
local given = redis.call('HMGET', commands, worker, worker .. ':reload')
if given[1] or given[2] then redis.call('PEXPIRE', commands, DAY) end
local version = redis.call('HGET', settings, 'version')
if version then redis.call('PEXPIRE', settings, DAY) end
return {now, given[1] or '', given[2] or '', version or ''}
