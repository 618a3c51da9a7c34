-- reschedule: let queued and scheduled jobs wait for another time.
-- USES: clock wake
-- KEYS: since wake policy ready_high ready_normal ready_low scheduled_high scheduled_normal scheduled_low
-- ARGV: now_ms due ...
--   now_ms: the current time in ms; '' for the server's clock; due: ms from now, or '@' and ms since the epoch
--   ...: for each job its id, priority (h, n, l)
-- RETURNS: how many of the jobs wait for this time now; how many are still queued because of max_scheduled
-- CHANGES: ready, scheduled, since, wake
-- A queued job is searched in its list from the beginning: a call should have one queued job.
local ready = {h = ready_high, n = ready_normal, l = ready_low}
local scheduled = {h = scheduled_high, n = scheduled_normal, l = scheduled_low}
local digits = string.match(due, '^@%-?(%d+)$') or string.match(due, '^%d+$')
if not (digits and #digits < 16) then return redis.error_reply('ERR reschedule: invalid due time ' .. due .. '; use ms from now or @ms of the epoch') end
local at = string.sub(due, 1, 1) == '@' and string.sub(due, 2) or clock(now_ms) + tonumber(due)
-- Keys of another type are found before anything is written.
redis.call('HLEN', since)
redis.call('LLEN', wake)
for _, key in pairs(scheduled) do redis.call('ZCARD', key) end
-- A job that is scheduled already is counted already. Retries do not come here: step.lua schedules them, whatever the limit.
local MAX_SCHEDULED = 10000
local limit = tonumber(redis.call('HGET', policy, 'max_scheduled') or MAX_SCHEDULED)
local room = math.huge
if limit > 0 then
  room = limit - redis.call('ZCARD', scheduled_high) - redis.call('ZCARD', scheduled_normal) - redis.call('ZCARD', scheduled_low)
end
local moved, changed, refused = {}, {}, 0
local function leaves_list(id, list)
  if room <= 0 then
    if redis.call('LPOS', list, id) then refused = refused + 1 end
    return false
  end
  if redis.call('LREM', list, 1, id) == 0 then return false end
  room = room - 1
  return true
end
for i = 3, #ARGV, 2 do
  local id, letter = ARGV[i], ARGV[i + 1]
  if not moved[id] then
    if redis.call('ZSCORE', scheduled[letter], id) or leaves_list(id, ready[letter]) then
      redis.call('HDEL', since, id)
      redis.call('ZADD', scheduled[letter], at, id)
      moved[id] = true
      changed[#changed + 1] = scheduled[letter]
    end
  end
end
-- A worker waits until the first scheduled job is due: it must learn that this is earlier now.
for _, key in ipairs(changed) do
  if moved[redis.call('ZRANGE', key, 0, 0)[1]] then wake_one() end
end
return {#changed, refused}
