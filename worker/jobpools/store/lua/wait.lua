-- wait: register a channel to which the ends of jobs are published, or report that the jobs have ended, in one atomic step.
-- USES: clock
-- KEYS: jobs results dead waiters waiters_old
-- ARGV: now_ms channel ...
--   now_ms: the current time in ms; '' for the server's clock; channel: where to publish; '' to register nothing
--   ...: job ids, 1000 at most
-- RETURNS: for each 1 while it has not ended, 0 when it has ended or is unknown
-- CHANGES: waiters, which every TURN ms becomes waiters_old: a client that does not register again within two turns is removed
local TURN, KEPT = 30000, 60000
local now = clock(now_ms)
local ids, open, fresh = {unpack(ARGV, 3)}, {}, {}
if #ids == 0 then return open end

if channel ~= '' then
  local begun = tonumber(redis.call('HGET', waiters, '') or '')
  if begun and (now < begun or now >= begun + TURN) then redis.call('RENAME', waiters, waiters_old) end
  if redis.call('HSETNX', waiters, '', string.format('%d', now)) == 1 then redis.call('PEXPIRE', waiters_old, KEPT) end
  redis.call('PEXPIRE', waiters, KEPT)
end

local current, old = redis.call('HMGET', waiters, unpack(ids)), redis.call('HMGET', waiters_old, unpack(ids))
local function is_in(channels)
  return channel ~= '' and channels and string.find(' ' .. channels .. ' ', ' ' .. channel .. ' ', 1, true)
end
local function has_ended(id)
  return redis.call('HEXISTS', jobs, id) == 0 or redis.call('HEXISTS', results, id) == 1 or redis.call('ZSCORE', dead, id)
end

for i, id in ipairs(ids) do
  -- The script that ends a job removes its channels: while this channel is registered, the job has not ended.
  if is_in(current[i]) then
    open[i] = 1
  elseif not is_in(old[i]) and has_ended(id) then
    open[i] = 0
  else
    open[i] = 1
    fresh[#fresh + 1] = id
    fresh[#fresh + 1] = current[i] and current[i] .. ' ' .. channel or channel
  end
end
if channel ~= '' and #fresh > 0 then redis.call('HSET', waiters, unpack(fresh)) end
return open
