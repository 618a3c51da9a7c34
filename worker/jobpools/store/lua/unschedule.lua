-- unschedule: delete a schedule made in code, and what is known of it.
-- KEYS: specs state code disabled recent changes
-- ARGV: schedule
--   schedule: its key
-- RETURNS: its spec as JSON, or nil when there is none
-- CHANGES: specs, state, code, disabled, recent; counts up changes
local known = redis.call('HGET', specs, schedule)
for _, key in ipairs({specs, state, code, disabled, recent}) do redis.call('HDEL', key, schedule) end
redis.call('HINCRBY', changes, 'version', 1)
return known
