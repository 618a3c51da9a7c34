-- record: store what one pass did with a schedule's ticks, unless another pass has handled them meanwhile.
-- USES: clock recent
-- KEYS: state recent
-- ARGV: schedule times since due last fires missed jobs ticks
--   schedule: its key; times: when it falls due, as one line; since: the latest tick handled before, in ms, '' for none
--   due: the latest one handled now, in ms; last: the latest one fired now, '' for none; fires, missed: number of ticks fired and missed
--   jobs: the fired jobs to remember, as `id queue` pairs separated by blanks
--   ticks: the ticks fired now, in ms, separated by blanks
-- RETURNS: 1, or 0 when the schedule is gone, has other times, or another pass was recorded: then nothing was changed
-- CHANGES: state, whose latest handled tick never goes back; recent
local known = redis.call('HGET', state, schedule)
if not known then return 0 end
local found = cjson.decode(known)
if found.times ~= times or (found.due or '') ~= (tonumber(since) or '') then return 0 end
if found.due and tonumber(due) < found.due then return 0 end
found.due, found.jobs = tonumber(due), jobs
found.last = tonumber(last) or found.last
found.fired, found.missed = found.fired + tonumber(fires), found.missed + tonumber(missed)
redis.call('HSET', state, schedule, cjson.encode(found))
remember(recent, schedule, ticks, clock(''))
return 1
