-- command: tell one worker what to do, if it is listed; its next heartbeat reads it.
-- USES: clock
-- KEYS: workers commands
-- ARGV: now_ms worker suffix command
--   now_ms: the current time in ms; '' for the server's clock; suffix: '' or ':reload', which follows the worker in the
--   field; command: JSON, or '' to remove the command
-- RETURNS: when the command was given, in ms, by which its answer refers to it; 0 if the worker is not listed
-- CHANGES: commands
local DAY = 86400000
if redis.call('HEXISTS', workers, worker) == 0 then return 0 end
local now = clock(now_ms)
if command == '' then
  redis.call('HDEL', commands, worker .. suffix)
else
  redis.call('HSET', commands, worker .. suffix, string.format('%d ', now) .. command)
  redis.call('PEXPIRE', commands, DAY)
end
return now
