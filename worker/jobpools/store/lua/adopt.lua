-- adopt: store the spec of a schedule. A schedule that is new, or whose times have changed, begins now: earlier ticks do not count.
-- KEYS: specs state
-- ARGV: schedule spec times now
--   schedule: its key; spec: as JSON; times: when it falls due, as one line; now: current time in ms
-- RETURNS: its state as JSON
-- CHANGES: specs; state, where the schedule or its times are new
redis.call('HSET', specs, schedule, spec)
local known = redis.call('HGET', state, schedule)
local found = known and cjson.decode(known) or {fired = 0, missed = 0, jobs = ''}
if found.times ~= times then
  found.times, found.created = times, tonumber(now)
  known = cjson.encode(found)
  redis.call('HSET', state, schedule, known)
end
return known
