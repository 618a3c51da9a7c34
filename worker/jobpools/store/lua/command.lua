-- command: tell one worker what to do, if it is listed; its next heartbeat reads it.
-- USES: clock
-- KEYS: workers commands
-- ARGV: now_ms worker command
--   now_ms: the current time in ms; '' for the server's clock; command: JSON, or '' to remove the worker's command
-- RETURNS: 1, or 0 if the worker is not listed
-- CHANGES: commands
local DAY = 86400000
if redis.call('HEXISTS', workers, worker) == 0 then return 0 end
if command == '' then
  redis.call('HDEL', commands, worker)
else
  redis.call('HSET', commands, worker, string.format('%d ', clock(now_ms)) .. command)
  redis.call('PEXPIRE', commands, DAY)
end
return 1
