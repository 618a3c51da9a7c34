-- rescue: take over leases whose holders are gone, promote due jobs, remove expired records.
-- USES: clock safely promote records trim drop_dead wake ready_left
-- KEYS: jobs history results done leases dead since wake totals ready_high ready_normal ready_low scheduled_high scheduled_normal scheduled_low
-- ARGV: now_ms lease_suffix lease_ms keep_completed keep_dead keep_dead_for limit ...
--   now_ms: the current time in ms; '' for the server's clock; lease_suffix: what follows a job id in the caller's lease ids
--   limit: maximum number of leases
--   keep_completed, keep_dead: how many completed jobs and dead letters the queue keeps; the oldest go first
--   keep_dead_for: ms for which a dead letter is kept; 0: without limit
--   ...: pods that are gone for certain, ":worker:" for one worker of a pod, or lease suffixes (":worker:fence") of claims whose
--        replies were lost; none: the leases that have expired
-- RETURNS: {ids, envelopes, histories, lease_ids that were taken over, promoted, number of leases beyond
--   the limit, now, whether more records are to be removed 0/1, dead letters dropped}
-- CHANGES: each lease taken over becomes the caller's, under a new fence: the caller decides the settlement of the
--   attempt and sends it with step. If the caller dies between the two, its lease expires and the next rescue takes it.
local TRIM_LIMIT = 1000 -- maximum number of records that one call removes: about a millisecond of the server's time
local now = clock(now_ms)
local function wanted(lease_id)
  -- A job id may contain colons and dots: only the last two fields belong to the lease.
  local pod, worker = string.match(lease_id, ':([^:]*)%.[^:.]*:[^:]*$'), string.match(lease_id, '(:[^:]*:)[^:]*$')
  for i = 8, #ARGV do
    local which = ARGV[i]
    if string.sub(which, -1) == ':' then
      if worker == which then return true end
    elseif string.sub(which, 1, 1) == ':' then
      if string.sub(lease_id, -#which) == which then return true end
    elseif pod == which then
      return true
    end
  end
  return false
end

local candidates, more = {}, 0
if #ARGV < 8 then
  more = redis.call('ZCOUNT', leases, '-inf', now)
  candidates = redis.call('ZRANGE', leases, '-inf', now, 'BYSCORE', 'LIMIT', 0, limit)
else
  for _, lease_id in ipairs(redis.call('ZRANGE', leases, 0, -1)) do
    if wanted(lease_id) then
      more = more + 1
      if #candidates < tonumber(limit) then candidates[#candidates + 1] = lease_id end
    end
  end
end
more = more - #candidates

local ids, envelopes, histories, taken = {}, {}, {}, {}
for _, lease_id in ipairs(candidates) do
  local id = string.match(lease_id, '^(.*):[^:]*:[^:]*$')
  local envelope = redis.call('HGET', jobs, id)
  redis.call('ZREM', leases, lease_id)
  if envelope then
    redis.call('ZADD', leases, now + tonumber(lease_ms), id .. lease_suffix)
    ids[#ids + 1], envelopes[#ids + 1], taken[#ids + 1] = id, envelope, lease_id
    histories[#ids] = redis.call('HGET', history, id)
  end
end
local removed = trim(now, TRIM_LIMIT, tonumber(keep_completed), classes_of())
local age = tonumber(keep_dead_for)
local dropped = drop_dead(TRIM_LIMIT, tonumber(keep_dead), age > 0 and now - age)
local moved = promote(now, 1000)
if moved > 0 and ready_left() > 0 then wake_one() end
return {ids, envelopes, histories, taken, moved, more, now, math.max(removed, dropped) == TRIM_LIMIT and 1 or 0, dropped}
