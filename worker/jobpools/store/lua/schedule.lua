-- schedule: create or change a schedule made in code. A schedule that is new, or whose times have changed, begins now.
-- USES: clock
-- KEYS: specs state code changes
-- ARGV: now_ms schedule spec times declared limit
--   now_ms: the current time in ms; '' for the server's clock; schedule: its key; spec: as JSON
--   times: when it falls due, as one line; declared: the app that declares it, '' for a call of app.scheduler
--   limit: how many schedules made in code there may be; 0 for any number
-- RETURNS: 2 (created), 1 (changed), 0 (it is the same already) or -1 (there are `limit` others; nothing was written)
-- CHANGES: specs, state, code; counts up changes
local known, owner = redis.call('HGET', specs, schedule), redis.call('HGET', code, schedule)
if known == spec and owner == declared then return 0 end
if not owner and tonumber(limit) > 0 and redis.call('HLEN', code) >= tonumber(limit) then return -1 end
local before = redis.call('HGET', state, schedule)
local found = before and cjson.decode(before) or {fired = 0, missed = 0, jobs = ''}
redis.call('HSET', specs, schedule, spec)
redis.call('HSET', code, schedule, declared)
if found.times ~= times then
  found.times, found.created = times, clock(now_ms)
  redis.call('HSET', state, schedule, cjson.encode(found))
end
redis.call('HINCRBY', changes, 'version', 1)
return known and 1 or 2
