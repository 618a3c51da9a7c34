-- renew: extend the leases that a worker still holds.
-- USES: clock reclaim
-- KEYS: leases draining cancelling history dead since ready_high ready_normal ready_low scheduled_high scheduled_normal scheduled_low
-- ARGV: given lease ...
--   given: now in ms, '' for the server's clock; lease: ms from now; ...: the members
-- RETURNS: {members that are gone: their jobs are not this worker's any more, ids of those jobs that shall be cancelled}
-- CHANGES: the scores of the members that are there; those that are reclaimed are there again. A worker that may not claim
--   reclaims nothing: its pod is gone or being ended, and a lease that it took back would expire with it.
-- A server beyond its maxmemory refuses a script whose first write takes memory. This one takes none: leases are renewed.
redis.call('ZREM', leases, '')
local function is_locked_out(member)
  return redis.call('SISMEMBER', draining, string.match(member, ':([^:]*):[^:]*$')) == 1
end
local expiry = clock(given) + tonumber(lease)
local gone, scores, asked = {}, {}, {}
if #ARGV > 2 then
  local members = {unpack(ARGV, 3)}
  local held = redis.call('ZMSCORE', leases, unpack(members))
  for i, member in ipairs(members) do
    if held[i] or not is_locked_out(member) and reclaim(expiry, member) then
      scores[#scores + 1] = expiry
      scores[#scores + 1] = member
    else
      gone[#gone + 1] = member
    end
  end
  if #scores > 0 then redis.call('ZADD', leases, 'XX', unpack(scores)) end
  if redis.call('EXISTS', cancelling) == 1 then
    local ids = {}
    for i, member in ipairs(members) do ids[i] = string.match(member, '^(.*):[^:]*:[^:]*$') end
    for i, stops in ipairs(redis.call('SMISMEMBER', cancelling, unpack(ids))) do
      if stops == 1 then asked[#asked + 1] = ids[i] end
    end
  end
end
return {gone, asked}
